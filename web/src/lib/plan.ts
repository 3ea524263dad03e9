/** The plan of the hours ahead, as /api/v1/plan gives it, and its neighbours. */

export type ByPhase = Record<string, number[]>;

export interface PlannedEvse {
  evse: string;
  departure_at: string;
  stated: boolean;
  need_wh: number;
  expected_wh: number;
  feasible: boolean;
  text: string;
  target_a: number | null;
  note: string;
  current_a: number[];
}

export interface PlannedCircuit {
  circuit: string;
  limit_a: ByPhase;
  building_a: ByPhase;
  charging_a: ByPhase;
}

export interface Plan {
  made_at: string | null;
  policy: string;
  slot_begin_at: string[];
  slot_s: number[];
  price_per_kwh: number[] | null;
  price_note: string;
  energy_wh: number;
  cost: number | null;
  cost_at_once: number | null;
  evses: PlannedEvse[];
  circuits: PlannedCircuit[];
}

export interface Demand {
  circuit: string;
  interval_s: number;
  limit_w: number;
  threshold_w: number;
  interval_energy_wh: number;
  allowed_w: number;
  month: string;
  peak_w: number;
}

export interface Signal {
  id: string;
  circuit: string;
  begin_at: string;
  end_at: string;
  limit_a: { l1: number | null; l2: number | null; l3: number | null } | null;
  limit_w: number | null;
  note: string;
  in_force: boolean;
}

export const POLICIES = ["equal_share", "first_come", "priority", "least_laxity", "cheapest", "solar_first"];

/** Begin of each slot and the end of the last. Unix seconds. */
export function edges(plan: Plan): number[] {
  const begins = plan.slot_begin_at.map((at) => new Date(at).getTime() / 1000);
  const last = begins.at(-1);
  return last === undefined ? [] : [...begins, last + (plan.slot_s.at(-1) ?? 900)];
}

/** The phase of a circuit that is planned nearest to its limit. */
export function fullest(circuit: PlannedCircuit): "l1" | "l2" | "l3" {
  const use = (p: string): number =>
    Math.max(0, ...(circuit.limit_a[p] ?? []).map((limit, i) => ((circuit.building_a[p]?.[i] ?? 0) + (circuit.charging_a[p]?.[i] ?? 0)) / Math.max(limit, 1)));
  return (["l1", "l2", "l3"] as const).reduce((best, p) => (use(p) > use(best) ? p : best), "l1");
}
