/** The one sentence: is the site safe, and how much is left. */

import type { Alarm, Circuit } from "../api/client";
import { t } from "../i18n/language.svelte";
import { amps } from "../lib/format";
import { drawnBelow, PHASES, tightest, use, type Light } from "./figures";
import type { Head, LiveEvse } from "./types";

export interface Verdict {
  light: Light | "off";
  word: string;
  sentence: string;
}

export function verdict(head: Head | null, circuits: Circuit[], evses: Iterable<LiveEvse>, alarms: Alarm[], stale: boolean): Verdict {
  if (!head) return { light: "off", word: t("verdict.waiting"), sentence: t("verdict.waiting.sentence") };
  if (stale) return { light: "off", word: t("verdict.unknown"), sentence: t("verdict.unknown.sentence") };
  const over = overloaded(circuits, evses);
  if (over) return { light: "bad", word: t("verdict.over"), sentence: t("verdict.over.sentence", over) };
  if (head.mode === "blind" || head.mode === "fallback")
    return { light: "bad", word: t(`mode.${head.mode}`), sentence: t(`mode.${head.mode}.sentence`) };
  const left = leftSentence(circuits);
  if (head.mode === "hold") return { light: "warn", word: t("mode.hold"), sentence: `${t("mode.hold.sentence")} ${left}` };
  const serious = alarms.filter((a) => a.severity !== "info" && !a.end).length;
  if (serious > 0) return { light: "warn", word: t("verdict.attention"), sentence: left };
  return { light: "good", word: t("verdict.safe"), sentence: left };
}

function leftSentence(circuits: Circuit[]): string {
  const tight = tightest(circuits);
  if (!tight) return "";
  const where = `${tight.circuit.id} ${tight.phase.toUpperCase()}`;
  return tight.free_a < 1 ? t("verdict.full", { where }) : t("verdict.left", { where, free: amps(tight.free_a) });
}

function overloaded(circuits: Circuit[], evses: Iterable<LiveEvse>): { where: string; load: string; limit: string } | null {
  const drawn = drawnBelow(circuits, evses);
  for (const circuit of circuits) {
    for (const phase of PHASES) {
      const u = use(circuit, phase, drawn.get(circuit.id));
      if (u.over) return { where: `${circuit.id} ${phase.toUpperCase()}`, load: amps(u.load_a), limit: amps(u.limit_a) };
    }
  }
  return null;
}
