/** Series for charts, several fields of one measurement on common instants. */

import { ask } from "./client";

export interface Series {
  /** Unix seconds. */
  at: number[];
  fields: Record<string, (number | null)[]>;
}

export interface HistoryQuery {
  measurement: string;
  fields: string[];
  tags: Record<string, string>;
  from: Date;
  to: Date;
  step_s: number;
}

interface Answer {
  at: string[];
  series: Record<string, (number | null)[]>;
}

export async function history(query: HistoryQuery): Promise<Series> {
  const params = new URLSearchParams({ measurement: query.measurement });
  for (const field of query.fields) params.append("field", field);
  for (const [name, value] of Object.entries(query.tags)) params.append("tag", `${name}:${value}`);
  params.set("from", query.from.toISOString());
  params.set("to", query.to.toISOString());
  params.set("step", String(query.step_s));
  const answer = await ask<Answer>(`/api/v1/history?${params}`);
  return { at: answer.at.map((at) => new Date(at).getTime() / 1000), fields: answer.series };
}
