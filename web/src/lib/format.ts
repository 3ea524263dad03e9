/** Figures and times as people read them. What is not known is a dash, never 0. */

import { texts } from "../i18n/language.svelte";

export const NONE = "–";
type Maybe = number | null | undefined;

const formats = new Map<string, Intl.NumberFormat>();

export function number(value: Maybe, digits = 0, least = digits): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const key = `${texts.locale} ${digits} ${least}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(texts.locale, { maximumFractionDigits: digits, minimumFractionDigits: least });
    formats.set(key, format);
  }
  // Adding 0 turns a rounded -0 into 0.
  return format.format(Number(value.toFixed(digits)) + 0);
}

/** Amperes without their unit: one decimal below 100 A. */
export function amps(value: Maybe): string {
  return number(value, value !== null && value !== undefined && Math.abs(value) >= 99.95 ? 0 : 1);
}

/** A limit or rating: whole unless it is not. */
export function limit(value: Maybe): string {
  return number(value, 1, 0);
}

export function kilowatts(watts: Maybe): string {
  if (watts === null || watts === undefined) return NONE;
  const kw = watts / 1000;
  return `${number(kw, Math.abs(kw) < 100 ? 1 : 0)} kW`;
}

export function kilowattHours(wh: Maybe): string {
  if (wh === null || wh === undefined) return NONE;
  const kwh = wh / 1000;
  return `${number(kwh, kwh < 10 ? 2 : kwh < 1000 ? 1 : 0)} kWh`;
}

export function percent(ratio: Maybe): string {
  return ratio === null || ratio === undefined ? NONE : `${number(ratio * 100)} %`;
}

function instant(at: string | Date | null | undefined, options: Intl.DateTimeFormatOptions): string {
  if (!at) return NONE;
  return new Intl.DateTimeFormat(texts.locale, options).format(typeof at === "string" ? new Date(at) : at);
}

export function clock(at: string | Date | null | undefined): string {
  return instant(at, { hour: "2-digit", minute: "2-digit" });
}

export function clockSeconds(at: string | Date | null | undefined): string {
  return instant(at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** The time, with its day unless it is today. */
export function moment(at: string | Date | null | undefined): string {
  if (!at) return NONE;
  const when = typeof at === "string" ? new Date(at) : at;
  if (when.toDateString() === new Date().toDateString()) return clock(when);
  return instant(when, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

export function dateTime(at: string | Date | null | undefined): string {
  return instant(at, { dateStyle: "medium", timeStyle: "medium" });
}

/** A span of seconds: 45 s, 12 min, 3 h 05 min. */
export function span(seconds: Maybe): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.round(hours / 24)} d`;
}

/** The value of a `datetime-local` input, in the browser's time. */
export function toLocalInput(at: string | Date | null | undefined): string {
  if (!at) return "";
  const when = typeof at === "string" ? new Date(at) : at;
  return new Date(when.getTime() - when.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

export function fromLocalInput(text: string): string | null {
  return text ? new Date(text).toISOString() : null;
}
