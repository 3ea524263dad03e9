/** The whole explanation, sentence by sentence, from its parts. */

import type { Schemas } from "../api/client";
import { hasText, plural, t, type Key } from "../i18n/language.svelte";
import { amps, clock, limit, number } from "./format";

type Explanation = Schemas["ExplanationOut"];
type Held = Explanation["held_by"][number];
export type Change = Explanation["changes"][number];

const NAMED = 3;

/** Who shares what holds it, and what it lacks there. */
export function sentences(found: Explanation): string[] {
  const where = places(found.held_by);
  if (!where) return [];
  const first = found.shared_with.length ? t("explain.shared", { where, others: others(found.shared_with) }) : t("explain.alone", { where });
  if (found.missing_a !== null) return [first, t("explain.missing", { missing: amps(found.missing_a) })];
  return found.gain_per_ampere === null ? [first] : [first, t("explain.gain", { gain: number(found.gain_per_ampere, 2) })];
}

/** What would have to be different, as `if garage-a were 63 A`. */
export function changeText(change: Change): string {
  const key = `explain.change.${change.kind}`;
  return hasText(key) ? t(key as Key, { circuit: change.circuit ?? "", limit: limit(change.limit_a), at: clock(change.at) }) : change.text;
}

function others(names: string[]): string {
  const shown = names.slice(0, NAMED).join(", ");
  const more = names.length - NAMED;
  return more > 0 ? plural("explain.more", more, { names: shown }) : shown;
}

/** `garage-a L1`, or `garage-a (L1, L2, L3)` for several rows of one circuit. */
function places(held: Held[]): string {
  const by = new Map<string, Held[]>();
  for (const h of held) by.set(h.subject, [...(by.get(h.subject) ?? []), h]);
  return [...by].map(([subject, rows]) => place(subject, rows)).join(" + ");
}

function place(subject: string, rows: Held[]): string {
  if (subject.startsWith("surplus:")) return t("explain.surplus");
  const name = subject.replace(/^\w+:/, "");
  const pair = rows.length === 1 ? rows[0]?.phase?.toUpperCase().split("-") : undefined;
  if (pair?.[1]) return t("explain.against", { circuit: name, phase: pair[0] ?? "", other: pair[1] });
  const phases = rows.flatMap((r) => (r.phase ? [r.phase.toUpperCase()] : []));
  if (!phases.length) return name;
  return phases.length === 1 ? `${name} ${phases[0]}` : `${name} (${phases.join(", ")})`;
}
