/** The running configuration: shapes of /api/v1/config, and editing the parsed site file. */

import { base, problemOf, tellSignedOut, type Schemas } from "../api/client";

export type Data = Record<string, unknown>;

export type Config = Schemas["ConfigOut"];
export type ConfigProblem = Schemas["ConfigProblemOut"];
export type Numbers = Schemas["CircuitFiguresOut"];
export type Effect = Schemas["EffectOut"];
export type Checked = Schemas["DryRunOut"];
export type Applied = Schemas["ConfigChanged"];
export type Version = Schemas["VersionOut"];

/** One line of a table of the site file. */
export interface Line {
  key: string;
  name: string;
  path: string[];
  values: Data;
}

/** What is to be saved: the whole text, or the parsed file (comments in the file are kept). */
export type Draft = { text: string } | { data: Data };

export async function readConfig(): Promise<{ config: Config; etag: string }> {
  const response = await fetch(`${base}/api/v1/config`, { credentials: "same-origin", cache: "no-store" });
  if (response.status === 401) tellSignedOut();
  if (!response.ok) throw await problemOf(response);
  return { config: (await response.json()) as Config, etag: response.headers.get("ETag") ?? "" };
}

export function isMap(x: unknown): x is Data {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

export function mapAt(data: Data, ...path: string[]): Data {
  let here: unknown = data;
  for (const key of path) here = isMap(here) ? here[key] : undefined;
  return isMap(here) ? here : {};
}

/** A copy with one value put in or, when undefined, taken out. */
export function withValue(data: Data, path: string[], value: unknown): Data {
  const [key, ...rest] = path;
  if (key === undefined) return data;
  const copy = { ...data };
  if (rest.length) copy[key] = withValue(isMap(copy[key]) ? (copy[key] as Data) : {}, rest, value);
  else if (value === undefined) delete copy[key];
  else copy[key] = value;
  return copy;
}

/** Read an input by what stood there before: numbers stay numbers, words stay words. */
export function parsed(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  if (/^-?\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  if (/^[[{]/.test(trimmed)) {
    try {
      return JSON.parse(trimmed) as unknown;
    } catch {
      return trimmed;
    }
  }
  return trimmed;
}

export function shown(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
