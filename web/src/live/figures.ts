/** What the screens say about circuits: sums and the tightest phase. Currents per phase, + towards the loads. [A] */

import type { Circuit, Phases } from "../api/client";
import type { LiveEvse } from "./types";

export const PHASES = ["l1", "l2", "l3"] as const;
export type Phase = (typeof PHASES)[number];

export function highest(phases: Phases | null | undefined): number | null {
  const known = PHASES.map((p) => phases?.[p]).filter((x): x is number => x !== null && x !== undefined);
  return known.length ? Math.max(...known) : null;
}

/** What the vehicles below each circuit draw, by circuit. */
export function drawnBelow(circuits: Circuit[], evses: Iterable<LiveEvse>): Map<string, Record<Phase, number>> {
  const parents = new Map(circuits.map((c) => [c.id, c.parent]));
  const sums = new Map(circuits.map((c) => [c.id, { l1: 0, l2: 0, l3: 0 }]));
  for (const evse of evses) {
    if (!evse.drawn_a) continue;
    for (let id: string | null | undefined = evse.circuit; id; id = parents.get(id)) {
      const sum = sums.get(id);
      if (!sum) break;
      for (const phase of PHASES) sum[phase] += evse.drawn_a[phase] ?? 0;
    }
  }
  return sums;
}

export interface Use {
  phase: Phase;
  limit_a: number;
  building_a: number;
  drawn_a: number;
  /** Granted and not drawn. */
  reserved_a: number;
  free_a: number;
  /** Load by measurement, else building and drawn. */
  load_a: number;
  over: boolean;
}

/** A phase of a circuit, taken apart. `free_a` is below 0 while more is granted than fits, until decreases have acted. */
export function use(circuit: Circuit, phase: Phase, drawn: Record<Phase, number> | undefined): Use {
  const limit_a = circuit.limit_a[phase] ?? 0;
  const building_a = circuit.building_a[phase] ?? 0;
  const committed_a = circuit.committed_a[phase] ?? 0;
  const drawn_a = drawn?.[phase] ?? 0;
  const load_a = circuit.measured_a?.[phase] ?? Math.max(0, building_a) + drawn_a;
  return {
    phase,
    limit_a,
    building_a,
    drawn_a,
    reserved_a: Math.max(0, committed_a - drawn_a),
    free_a: circuit.headroom_a[phase] ?? limit_a - building_a - committed_a,
    load_a,
    over: load_a > limit_a + 0.5,
  };
}

export interface Tightest {
  circuit: Circuit;
  phase: Phase;
  free_a: number;
}

/** The phase with the least left, over all circuits. */
export function tightest(circuits: Circuit[]): Tightest | null {
  let found: Tightest | null = null;
  for (const circuit of circuits) {
    for (const phase of PHASES) {
      const free_a = circuit.headroom_a[phase];
      if (free_a !== null && free_a !== undefined && (!found || free_a < found.free_a)) found = { circuit, phase, free_a };
    }
  }
  return found;
}

export interface Node {
  circuit: Circuit;
  depth: number;
  /** For each level above: whether a line goes on downwards. */
  rails: boolean[];
  last: boolean;
}

/** The tree in the order it is drawn, children after their parent. */
export function tree(circuits: Circuit[]): Node[] {
  const below = new Map<string | null, Circuit[]>();
  const known = new Set(circuits.map((c) => c.id));
  for (const circuit of circuits) {
    const parent = circuit.parent !== null && known.has(circuit.parent) ? circuit.parent : null;
    below.set(parent, [...(below.get(parent) ?? []), circuit]);
  }
  const nodes: Node[] = [];
  const walk = (parent: string | null, depth: number, rails: boolean[]): void => {
    const children = below.get(parent) ?? [];
    children.forEach((circuit, index) => {
      const last = index === children.length - 1;
      nodes.push({ circuit, depth, rails, last });
      walk(circuit.id, depth + 1, [...rails, !last]);
    });
  };
  walk(null, 0, []);
  return nodes;
}

export type Light = "good" | "warn" | "bad";

export type Group = "charging" | "waiting" | "plugged" | "free" | "trouble";

/** What an EVSE is doing, in the five groups that people filter by. */
export function group(evse: LiveEvse): Group {
  if (!evse.connected || evse.state === "faulted" || evse.state === "unavailable") return "trouble";
  if (evse.state === "charging") return "charging";
  if (evse.state === "suspended_evse" || evse.reason.code === "waiting_turn" || evse.paused) return evse.session_id ? "waiting" : "free";
  if (["connected", "suspended_ev", "finishing"].includes(evse.state)) return "plugged";
  return "free";
}
