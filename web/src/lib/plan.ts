/** The plan of the hours ahead, as /api/v1/plan gives it, and its neighbours. */

import type { Schemas } from "../api/client";

export type Plan = Schemas["PlanOut"];
export type PlannedEvse = Schemas["PlannedEvse"];
export type PlannedCircuit = Schemas["PlannedCircuit"];
export type Demand = Schemas["DemandOut"];
export type Signal = Schemas["SignalOut"];

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
