/** A station's own configuration, as its answer has it: keys of 1.6, variables of 2.0.1. */

export interface Setting {
  key: string;
  value: string | null;
  readonly: boolean;
}

interface Answer {
  configurationKey?: { key: string; value?: string; readonly: boolean }[];
  getVariableResult?: { component: { name: string }; variable: { name: string; instance?: string }; attributeValue?: string; attributeStatus: string }[];
}

export function settingsOf(answer: unknown): Setting[] {
  const told = (answer ?? {}) as Answer;
  const keys = (told.configurationKey ?? []).map((k) => ({ key: k.key, value: k.value ?? null, readonly: k.readonly }));
  const variables = (told.getVariableResult ?? []).map((v) => ({
    key: `${v.component.name}.${v.variable.name}${v.variable.instance ? `[${v.variable.instance}]` : ""}`,
    value: v.attributeValue ?? null,
    readonly: v.attributeStatus !== "Accepted",
  }));
  return [...keys, ...variables].sort((a, b) => a.key.localeCompare(b.key));
}
