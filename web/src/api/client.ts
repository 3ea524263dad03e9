/** The typed client: paths and shapes come from the API's own description (`schema.d.ts`, made by scripts/web). */

import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Circuit = Schemas["CircuitOut"];
export type Evse = Schemas["EvseOut"];
export type Phases = Schemas["Phases"];
export type Alarm = Schemas["AlarmOut"];
export type Why = Schemas["WhyOut"];
export type Reason = Schemas["ReasonOut"];
export type Session = Schemas["SessionOut"];
export type Station = Schemas["StationOut"];
export type Token = Schemas["TokenOut"];
export type Role = "viewer" | "operator" | "admin";

/** What went wrong, in words that say what to do (RFC 9457 with `mend`). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    detail: string,
    readonly mend: string = "",
    readonly errors: Record<string, string>[] = [],
    readonly code: string = "",
  ) {
    super(detail);
  }

  /** The server does not know this path: the function is not part of this version. */
  get absent(): boolean {
    return this.status === 404 || this.status === 405 || this.status === 501 || this.code === "no-planner";
  }
}

export const base = new URL(".", document.baseURI).href.replace(/\/$/, "");
const signedOut = new Set<() => void>();

/** Call when an answer says that nobody is signed in any more. */
export function onSignedOut(call: () => void): void {
  signedOut.add(call);
}

export function tellSignedOut(): void {
  for (const call of signedOut) call();
}

const own: Middleware = {
  onRequest({ request }) {
    request.headers.set("X-Wattkeeper", "1");
    return request;
  },
  onResponse({ request, response }) {
    if (response.status === 401 && !request.url.endsWith("/api/v1/session")) tellSignedOut();
  },
};

export const api = createClient<paths>({ baseUrl: base, credentials: "same-origin", cache: "no-store" });
api.use(own);

export async function problemOf(response: Response, body?: unknown): Promise<Problem> {
  const told = (body ?? (await response.json().catch(() => ({})))) as Record<string, unknown>;
  const text = (name: string): string => (typeof told[name] === "string" ? (told[name] as string) : "");
  return new Problem(
    response.status,
    text("title") || response.statusText,
    text("detail") || `${response.status} ${response.statusText}`,
    text("mend"),
    (told["errors"] as Record<string, string>[] | null) ?? [],
    text("type").replace("urn:wattkeeper:problem:", ""),
  );
}

type Answered<T> = { data?: T; error?: unknown; response: Response };

/** Unwrap an answer: its data, or a Problem. */
export async function take<T>(asked: Promise<Answered<T>>): Promise<T> {
  let answer: Answered<T>;
  try {
    answer = await asked;
  } catch (error) {
    throw unreachable(error);
  }
  if (!answer.response.ok) throw await problemOf(answer.response, answer.error);
  return answer.data as T;
}

function unreachable(error: unknown): Problem {
  return new Problem(0, "unreachable", error instanceof Error ? error.message : String(error));
}

/** Ask a path that has no description, as a CSV or a part of another version. */
export async function ask<T>(path: string, options: RequestInit & { json?: unknown } = {}): Promise<T> {
  const { json, ...rest } = options;
  const headers = new Headers(rest.headers);
  headers.set("X-Wattkeeper", "1");
  if (json !== undefined) headers.set("Content-Type", "application/json");
  let response: Response;
  try {
    response = await fetch(`${base}${path}`, {
      credentials: "same-origin",
      cache: "no-store",
      ...rest,
      headers,
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
  } catch (error) {
    throw unreachable(error);
  }
  if (response.status === 401) tellSignedOut();
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}
