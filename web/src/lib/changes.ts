/** What differs between two JSON texts of the audit log, field by field. */

export interface FieldChange {
  field: string;
  before: string;
  after: string;
}

function parse(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return text;
  }
}

function show(value: unknown): string {
  if (value === undefined || value === null || value === "") return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function changes(before: string, after: string): FieldChange[] {
  const a = parse(before);
  const b = parse(after);
  const isMap = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);
  if (!isMap(a) && !isMap(b)) return a === b || (a === null && b === null) ? [] : [{ field: "", before: show(a), after: show(b) }];
  const left = isMap(a) ? a : {};
  const right = isMap(b) ? b : {};
  return [...new Set([...Object.keys(left), ...Object.keys(right)])]
    .filter((key) => JSON.stringify(left[key] ?? null) !== JSON.stringify(right[key] ?? null))
    .map((field) => ({ field, before: show(left[field]), after: show(right[field]) }));
}
