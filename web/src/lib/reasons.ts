/** Reasons in the reader's language. The server's own sentence is English; its code and figures are for all. */

import type { Circuit, Reason } from "../api/client";
import { hasText, t, texts } from "../i18n/language.svelte";
import { amps, limit, NONE } from "./format";
import type { Phase } from "../live/figures";

interface About {
  setpoint_a: number;
  committed_a: number;
}

/** Split `garage-a L1` into circuit and phase. */
export function boundBy(reason: Reason): { circuit: string; phase: Phase } | null {
  const found = /^(.*) (L[123])$/.exec(reason.bound_by ?? "");
  return found ? { circuit: found[1] ?? "", phase: (found[2] ?? "L1").toLowerCase() as Phase } : null;
}

export function reasonText(reason: Reason, about: About, circuits: Circuit[]): string {
  if (texts.language === "en") return reason.text;
  const bound = boundBy(reason);
  const key = `reason.${reason.code}${bound || !["circuit_full", "waiting_turn"].includes(reason.code) ? "" : ".unbound"}`;
  if (!hasText(key)) return reason.text;
  const circuit = circuits.find((c) => c.id === bound?.circuit);
  return t(key, {
    where: reason.bound_by ?? "",
    limit: circuit && bound ? limit(circuit.limit_a[bound.phase]) : NONE,
    building: circuit && bound ? limit(circuit.building_a[bound.phase]) : NONE,
    setpoint: amps(about.setpoint_a),
    committed: amps(about.committed_a),
  });
}

/** What would change it, in a sentence; null: nothing to say. */
export function remedy(reason: Reason): string | null {
  const key = `remedy.${reason.code}`;
  return hasText(key) ? t(key, { where: reason.bound_by ?? "" }) : null;
}
