/** Why a station of a roll-out waits or failed: known sentences in the reader's language, others as they come. */

import { t, texts, type Key } from "../i18n/language.svelte";

const KNOWN: Record<string, Key> = {
  "waits: a transaction runs": "rollouts.waits.transaction",
  "waits: it is not connected": "rollouts.waits.away",
  "it is not connected": "rollouts.lacks.away",
  "it has not confirmed its fallback": "rollouts.lacks.fallback",
  "it reports a fault": "rollouts.lacks.fault",
};

export function stepText(text: string): string {
  const key = texts.language === "en" ? undefined : KNOWN[text];
  return key ? t(key) : text;
}
