/** Short notes about what was just done. */

import { Problem } from "../api/client";
import { t } from "../i18n/language.svelte";

export interface Toast {
  id: number;
  text: string;
  mend: string;
  kind: "good" | "bad";
}

class Toasts {
  items = $state<Toast[]>([]);
  private next = 1;

  say(text: string, kind: Toast["kind"] = "good", mend = ""): void {
    const id = this.next++;
    this.items = [...this.items.slice(-3), { id, text, mend, kind }];
    setTimeout(() => this.drop(id), kind === "good" ? 4000 : 12000);
  }

  fail(error: unknown): void {
    const { text, mend } = wordsOf(error);
    this.say(text, "bad", mend);
  }

  drop(id: number): void {
    this.items = this.items.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();

/** What a failure says to people. */
export function wordsOf(error: unknown): { text: string; mend: string } {
  if (error instanceof Problem) {
    if (error.status === 0) return { text: t("error.unreachable"), mend: t("error.unreachable.mend") };
    return { text: error.message, mend: error.mend };
  }
  return { text: String(error), mend: "" };
}
