/** Server-sent events over fetch: unlike EventSource it shows refusals, resumes after them, and notices silence. */

import { base } from "../api/client";

export interface Heard {
  event: string;
  data: string;
  id: string | null;
}

export interface StreamOptions {
  onEvent: (heard: Heard) => void;
  onOpen: () => void;
  onLost: (status: number) => void;
}

const SILENCE_MS = 25_000; // the server sends a comment every 15 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

export class Stream {
  private last: string | null = null;
  private stopped = false;
  private abort: AbortController | null = null;
  private wake: (() => void) | null = null;

  constructor(
    private readonly path: string,
    private readonly options: StreamOptions,
  ) {}

  async run(): Promise<void> {
    let wait = FIRST_WAIT_MS;
    while (!this.stopped) {
      const status = await this.listen(() => (wait = FIRST_WAIT_MS));
      if (this.stopped) return;
      this.options.onLost(status);
      if (status === 401 || status === 403) return;
      await this.pause(wait + Math.random() * 250);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  stop(): void {
    this.stopped = true;
    this.abort?.abort();
    this.wake?.();
  }

  /** End the present connection, which the network has lost; listening goes on with a new one. */
  drop(): void {
    this.abort?.abort();
  }

  /** Try again now instead of waiting. */
  hurry(): void {
    this.wake?.();
  }

  private async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = null;
  }

  /** Listen until the connection ends; return the status that ended it, 0 for a lost connection. */
  private async listen(opened: () => void): Promise<number> {
    const abort = (this.abort = new AbortController());
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.last) headers["Last-Event-ID"] = this.last;
    let timer = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await fetch(`${base}${this.path}`, {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        signal: abort.signal,
      });
      if (!response.ok || !response.body) return response.status;
      opened();
      this.options.onOpen();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return 0;
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), SILENCE_MS);
        rest = this.split(rest + value);
      }
    } catch {
      return 0;
    } finally {
      clearTimeout(timer);
    }
  }

  private split(text: string): string {
    const blocks = text.split("\n\n");
    const rest = blocks.pop() ?? "";
    for (const block of blocks) this.hear(block);
    return rest;
  }

  private hear(block: string): void {
    let event = "message";
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("data: ")) data += line.slice(6);
      else if (line.startsWith("event: ")) event = line.slice(7);
      else if (line.startsWith("id: ")) this.last = line.slice(4);
    }
    if (data) this.options.onEvent({ event, data, id: this.last });
  }
}
