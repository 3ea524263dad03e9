/** What a sentence of the controller names, in the reader's language: figures by their unit, names as they are. */

import { named } from "../i18n/language.svelte";
import { kilowattHours, number } from "./format";

export type Values = Record<string, string>;

export function told(values: Values): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, shown(name, value)]));
}

function shown(name: string, value: string): string {
  if (name === "policy") return named("policy", value).toLocaleLowerCase();
  const figure = Number(value);
  if (value === "" || !Number.isFinite(figure)) return value;
  if (name.endsWith("_wh")) return kilowattHours(figure);
  // As many decimals as the controller gave.
  return /_(a|s|w|v)$/.test(name) ? number(figure, value.split(".")[1]?.length ?? 0) : value;
}
