/** Reasons in the reader's language: the catalogue's sentence for a code and its wording, else the controller's own. */

import type { Reason } from "../api/client";
import { hasText, t, texts, type Key } from "../i18n/language.svelte";
import type { Phase } from "../live/figures";
import { told, type Values } from "./told";

export interface Worded {
  code: string;
  text: string;
  bound_by?: string | null;
  wording?: string;
  values?: Values;
}

/** Split `garage-a L1` into circuit and phase. */
export function boundBy(reason: Reason): { circuit: string; phase: Phase } | null {
  const found = /^(.*) (L[123])$/.exec(reason.bound_by ?? "");
  return found ? { circuit: found[1] ?? "", phase: (found[2] ?? "L1").toLowerCase() as Phase } : null;
}

export function reasonText(reason: Worded): string {
  // The controller's own sentences are English and the most exact.
  if (texts.language === "en") return reason.text;
  const key = reason.wording ? `reason.${reason.code}.${reason.wording}` : `reason.${reason.code}`;
  return filled(key, reason) ?? reason.text;
}

/** What would change it, in a sentence; null: nothing to say. */
export function remedy(reason: Worded): string | null {
  const exact = reason.wording ? filled(`remedy.${reason.code}.${reason.wording}`, reason) : null;
  return exact ?? filled(`remedy.${reason.code}`, reason);
}

/** The text of a key; null: there is none, or the controller did not say all that it names. */
function filled(key: string, reason: Worded): string | null {
  if (!hasText(key)) return null;
  const text = t(key as Key, { where: reason.bound_by ?? "", ...told(reason.values ?? {}) });
  return /\{\w+\}/.test(text) ? null : text;
}
