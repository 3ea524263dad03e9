/** Something asked for once: loading, there, or failed. */

import type { Problem } from "../api/client";

export class Resource<T> {
  data = $state.raw<T | null>(null);
  error = $state.raw<Problem | null>(null);
  loading = $state(false);
  private turn = 0;

  constructor(private readonly ask: () => Promise<T>) {}

  /** Ask; an answer that was overtaken by a later question is dropped. */
  async load(): Promise<void> {
    const turn = ++this.turn;
    this.loading = true;
    try {
      const data = await this.ask();
      if (turn !== this.turn) return;
      this.data = data;
      this.error = null;
    } catch (error) {
      if (turn !== this.turn) return;
      this.error = error as Problem;
    } finally {
      if (turn === this.turn) this.loading = false;
    }
  }
}
