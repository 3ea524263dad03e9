/** Light or dark: by the system's preference unless somebody chose. */

export type Choice = "system" | "light" | "dark";
const KEY = "wattkeeper.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

class Theme {
  choice = $state<Choice>("system");
  /** What is shown now. */
  shown = $state<"light" | "dark">("light");

  choose(choice: Choice): void {
    this.choice = choice;
    localStorage.setItem(KEY, choice);
    this.show();
  }

  show(): void {
    this.shown = this.choice === "system" ? (dark.matches ? "dark" : "light") : this.choice;
    document.documentElement.dataset["theme"] = this.shown;
  }
}

export const theme = new Theme();

export function startTheme(): void {
  const kept = localStorage.getItem(KEY);
  if (kept === "light" || kept === "dark") theme.choice = kept;
  dark.addEventListener("change", () => theme.show());
  theme.show();
}
