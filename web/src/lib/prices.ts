/** Prices as people paste them: a column of a table, decimal points or commas, one per line or in a row. */

export interface ReadPrices {
  values: number[];
  /** The first that is no number; null: all are. */
  bad: string | null;
}

export function readPrices(text: string): ReadPrices {
  const words = text.split(/[\s;]+/).map((w) => w.replace(/,$/, "")).filter(Boolean);
  const values: number[] = [];
  for (const word of words) {
    if (!/^[-+]?\d*[.,]?\d+$/.test(word)) return { values, bad: word.slice(0, 20) };
    values.push(Number(word.replace(",", ".")));
  }
  return { values, bad: null };
}
