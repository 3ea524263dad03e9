/** What the event stream carries (docs/api.md, Events). */

import type { Circuit, Phases, Reason, Schemas } from "../api/client";

export interface LiveEvse {
  id: string;
  circuit: string | null;
  state: string;
  connected: boolean;
  drawn_a: Phases | null;
  power_w: number | null;
  energy_wh: number | null;
  soc_percent: number | null;
  setpoint_a: number;
  committed_a: number;
  lease_until: string | null;
  session_id: string | null;
  id_token: string | null;
  paused: boolean;
  reason: Reason;
}

export interface Head {
  at: string;
  mode: string;
  last_cycle: Schemas["LastCycle"];
  alarms: number;
}

export interface Frame extends Head {
  circuits: Circuit[];
  evses: LiveEvse[];
}

/** Only what changed since the frame before. */
export interface Delta extends Head {
  circuits?: Circuit[];
  evses?: LiveEvse[];
  gone?: string[];
}
