/** Common parts of all uPlot charts. */

import uPlot from "uplot";
import { texts } from "../i18n/language.svelte";
import { number } from "./format";

export type Colour = (token: string) => string;

export function font(): string {
  return `12px ${getComputedStyle(document.body).fontFamily}`;
}

export function timeAxis(colour: Colour, show = true): uPlot.Axis {
  return {
    show,
    stroke: colour("--dim"),
    font: font(),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    size: 26,
    gap: 4,
    space: 64,
    values: (_plot, splits, _axis, _space, step) =>
      splits.map((s) =>
        new Intl.DateTimeFormat(texts.locale, step >= 86400 ? { day: "numeric", month: "short" } : step < 60 ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { hour: "2-digit", minute: "2-digit" }).format(s * 1000),
      ),
  };
}

export function valueAxis(colour: Colour, digits = 0): uPlot.Axis {
  return {
    stroke: colour("--dim"),
    font: font(),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    size: 44,
    gap: 6,
    space: 30,
    values: (_plot, splits) => splits.map((v) => number(v, digits, 0)),
  };
}

export function withAlpha(hex: string, alpha: string): string {
  return /^#[0-9a-f]{6}$/i.test(hex) ? hex + alpha : hex;
}
