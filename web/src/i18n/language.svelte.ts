/** All texts, from one catalogue per language; numbers and times by the browser's Intl. */

import en from "./en.json";

export type Key = keyof typeof en;
export type Language = "en" | "sv" | "de";
type Params = Record<string, string | number>;

export const LANGUAGES: Record<Language, string> = { en: "English", sv: "Svenska", de: "Deutsch" };
const LOCALES: Record<Language, string> = { en: "en-GB", sv: "sv-SE", de: "de-DE" };
const KEY = "wattkeeper.language";

class Texts {
  language = $state<Language>("en");
  catalogue = $state.raw<Record<string, string>>(en);

  get locale(): string {
    return LOCALES[this.language];
  }

  async choose(language: Language): Promise<void> {
    this.catalogue = await load(language);
    this.language = language;
    document.documentElement.lang = language;
  }
}

async function load(language: Language): Promise<Record<string, string>> {
  if (language === "sv") return (await import("./sv.json")).default;
  if (language === "de") return (await import("./de.json")).default;
  return en;
}

export const texts = new Texts();

export async function startLanguage(): Promise<void> {
  const wanted = [localStorage.getItem(KEY), ...navigator.languages].map((l) => l?.slice(0, 2));
  const found = wanted.find((l): l is Language => l !== undefined && l in LANGUAGES) ?? "en";
  await texts.choose(found);
}

export async function keepLanguage(language: Language): Promise<void> {
  localStorage.setItem(KEY, language);
  await texts.choose(language);
}

/** The text of a key with `{name}` filled in. */
export function t(key: Key, params?: Params): string {
  const text = texts.catalogue[key] ?? en[key];
  return params ? text.replace(/\{(\w+)\}/g, (all, name: string) => String(params[name] ?? all)) : text;
}

/** `key.one` or `key.other` by the number `n`, which fills `{n}`. */
export function plural(key: string, n: number, params?: Params): string {
  const form = new Intl.PluralRules(texts.locale).select(n) === "one" ? "one" : "other";
  return t(`${key}.${form}` as Key, { n: n.toLocaleString(texts.locale), ...params });
}

/** The text of a key made at run time, as `state.charging`; what has no text keeps its own name. */
export function named(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  return key in en ? t(key as Key) : name.replaceAll("_", " ").toLowerCase();
}

export function hasText(key: string): key is Key {
  return key in en;
}
