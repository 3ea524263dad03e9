/** Alarms in the reader's language: by code and what they name, else in the controller's words. */

import type { Alarm } from "../api/client";
import { hasText, t, texts, type Key } from "../i18n/language.svelte";
import { told } from "./told";

/** Codes that a station makes up stand for their kind: `ERROR_…`, `SECURITY_…`, `MONITOR_…`. */
function keys(code: string): string[] {
  const kind = /^(ERROR|SECURITY|MONITOR)_/.exec(code)?.[1];
  return kind ? [`alarm.${code}`, `alarm.${kind}`] : [`alarm.${code}`];
}

export function alarmTitle(alarm: Alarm): string {
  const key = keys(alarm.code).find(hasText);
  return key ? t(key as Key) : alarm.code.replaceAll("_", " ").toLowerCase();
}

/** What is wrong and what to do. */
export function alarmText(alarm: Alarm): string {
  return translated(alarm) ?? alarm.text;
}

/** The controller's own sentence where another was shown: it may name what the catalogue does not. */
export function ownWords(alarm: Alarm): string | null {
  return translated(alarm) === null ? null : alarm.text;
}

function translated(alarm: Alarm): string | null {
  if (texts.language === "en") return null;
  const key = keys(alarm.code).map((k) => `${k}.text`).find(hasText);
  if (!key) return null;
  const text = t(key as Key, { subject: alarm.subject, ...told(alarm.values ?? {}) });
  return /\{\w+\}/.test(text) ? null : text;
}
