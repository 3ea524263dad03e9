/** The site as it is now: the live stream, and what only changes now and then. */

import { api, take, tellSignedOut, type Alarm, type Circuit, type Evse } from "../api/client";
import { Stream, type Heard } from "./stream";
import type { Delta, Frame, Head, LiveEvse } from "./types";

export type Link = "connecting" | "live" | "lost";

/** One EVSE for the screens: live figures over what is asked for now and then. */
export type Row = LiveEvse & Partial<Omit<Evse, keyof LiveEvse>>;

const STALE_S = 8;
const DETAILS_MS = 60_000;
const HIDDEN_MS = 120_000;

class SiteState {
  link = $state<Link>("connecting");
  name = $state("");
  timezone = $state("UTC");
  voltage_v = $state(230);
  head = $state.raw<Head | null>(null);
  circuits = $state.raw<Circuit[]>([]);
  evses = $state.raw<Map<string, LiveEvse>>(new Map());
  details = $state.raw<Map<string, Evse>>(new Map());
  alarms = $state.raw<Alarm[]>([]);
  /** When the latest frame came, by this browser's steady clock. [ms] */
  heardMs = $state(0);
  /** This browser's steady clock, once a second. [ms] */
  nowMs = $state(performance.now());

  private stream: Stream | null = null;
  private timers: ReturnType<typeof setInterval>[] = [];
  private hiddenSince = 0;
  private asking: ReturnType<typeof setTimeout> | null = null;

  age_s = $derived(this.heardMs === 0 ? null : Math.max(0, (this.nowMs - this.heardMs) / 1000));
  /** The figures are too old to be taken for now. */
  stale = $derived(this.link === "lost" || (this.age_s !== null && this.age_s > STALE_S));
  rows = $derived.by(() => [...this.evses.values()].map((live) => this.row(live)));
  root = $derived(this.circuits.find((c) => c.parent === null) ?? null);

  row(live: LiveEvse): Row {
    const detail = this.details.get(live.id);
    if (!detail) return live;
    // The stream shortens id tokens for everybody; the list shows them to those who may read them.
    const token = detail.session_id === live.session_id ? detail.id_token : live.id_token;
    return { ...detail, ...live, id_token: token };
  }

  start(): void {
    this.stop();
    this.link = "connecting";
    this.open();
    void this.refresh();
    this.timers = [
      setInterval(() => this.tick(), 1000),
      setInterval(() => void this.refreshDetails(), DETAILS_MS),
    ];
    document.addEventListener("visibilitychange", this.seen);
    window.addEventListener("offline", this.cut);
    window.addEventListener("online", this.mended);
  }

  stop(): void {
    this.stream?.stop();
    this.stream = null;
    for (const timer of this.timers) clearInterval(timer);
    document.removeEventListener("visibilitychange", this.seen);
    window.removeEventListener("offline", this.cut);
    window.removeEventListener("online", this.mended);
  }

  /** Ask again for what the stream does not carry, after something was changed. */
  async refresh(): Promise<void> {
    await Promise.all([this.refreshSite(), this.refreshDetails()]);
  }

  async refreshDetails(): Promise<void> {
    try {
      const { items } = await take(api.GET("/api/v1/evses"));
      this.details = new Map(items.map((evse) => [evse.id, evse]));
    } catch {
      // The link's state already says that the controller cannot be reached.
    }
  }

  /** Show an answer at once, before the next frame. */
  put(evse: Evse): void {
    this.details = new Map(this.details).set(evse.id, evse);
    const live = this.evses.get(evse.id);
    if (live) this.evses = new Map(this.evses).set(evse.id, { ...live, paused: evse.paused, reason: evse.reason });
  }

  retry(): void {
    this.stream?.hurry();
  }

  private open(): void {
    this.stream = new Stream("/api/v1/events?deltas=true", {
      onEvent: (heard) => this.hear(heard),
      onOpen: () => {
        if (this.link === "lost") void this.refresh();
        this.link = "live";
      },
      onLost: (status) => {
        this.link = "lost";
        if (status === 401) tellSignedOut();
      },
    });
    void this.stream.run();
  }

  private tick(): void {
    this.nowMs = performance.now();
    // A page that nobody looks at needs no stream.
    if (this.stream && document.hidden && this.hiddenSince && this.nowMs - this.hiddenSince > HIDDEN_MS) {
      this.stream.stop();
      this.stream = null;
      this.link = "lost";
    }
  }

  private cut = (): void => this.stream?.drop();
  private mended = (): void => this.stream?.hurry();

  private seen = (): void => {
    this.hiddenSince = document.hidden ? performance.now() : 0;
    if (document.hidden) return;
    this.nowMs = performance.now();
    if (this.stream) this.stream.hurry();
    else this.open();
  };

  private hear({ event, data }: Heard): void {
    switch (event) {
      case "cycle":
        return this.frame(JSON.parse(data) as Frame);
      case "delta":
        return this.delta(JSON.parse(data) as Delta);
      case "alarm":
        return this.askSoon(() => this.refreshSite());
      case "state":
        return this.askSoon(() => this.refresh());
    }
  }

  private frame(frame: Frame): void {
    this.takeHead(frame);
    this.circuits = frame.circuits;
    this.evses = new Map(frame.evses.map((evse) => [evse.id, evse]));
  }

  private delta(delta: Delta): void {
    this.takeHead(delta);
    if (delta.circuits?.length) {
      const changed = new Map(delta.circuits.map((c) => [c.id, c]));
      this.circuits = this.circuits.map((c) => changed.get(c.id) ?? c);
    }
    if (delta.evses?.length || delta.gone?.length) {
      const evses = new Map(this.evses);
      for (const evse of delta.evses ?? []) evses.set(evse.id, evse);
      for (const id of delta.gone ?? []) evses.delete(id);
      this.evses = evses;
    }
  }

  private takeHead(head: Head): void {
    this.head = { at: head.at, mode: head.mode, last_cycle: head.last_cycle, alarms: head.alarms };
    this.heardMs = this.nowMs = performance.now();
    this.link = "live";
  }

  private askSoon(ask: () => Promise<void>): void {
    if (this.asking) return;
    this.asking = setTimeout(() => {
      this.asking = null;
      void ask();
    }, 700);
  }

  private async refreshSite(): Promise<void> {
    try {
      const site = await take(api.GET("/api/v1/site"));
      this.name = site.name;
      this.timezone = site.timezone;
      this.voltage_v = site.voltage_v;
      this.alarms = site.alarms;
    } catch {
      // As above.
    }
  }
}

export const site = new SiteState();
