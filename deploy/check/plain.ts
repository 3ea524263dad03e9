// Grafana's published types, with enumerations written as JSON writes them.
import type { Dashboard, Panel } from "@grafana/schema";
import type * as barchart from "@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as statusHistory from "@grafana/schema/dist/esm/raw/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

export type Plain<T> = unknown extends T
  ? T
  : T extends string
    ? string extends T
      ? T
      : `${T}`
    : T extends readonly (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

type PanelOf<Name extends string, Options, Custom> = Plain<
  Omit<Panel, "type" | "options" | "fieldConfig">
> & {
  type: Name;
  options: Plain<Partial<Options>>;
  fieldConfig: Plain<Omit<NonNullable<Panel["fieldConfig"]>, "defaults">> & {
    defaults: Plain<Omit<NonNullable<Panel["fieldConfig"]>["defaults"], "custom">> & {
      custom?: Plain<Partial<Custom>>;
    };
  };
};

export type OurPanel =
  | PanelOf<"barchart", barchart.Options, barchart.FieldConfig>
  | PanelOf<"stat", stat.Options, never>
  | PanelOf<"status-history", statusHistory.Options, statusHistory.FieldConfig>
  | PanelOf<"table", table.Options, never>
  | PanelOf<"timeseries", timeseries.Options, timeseries.FieldConfig>;

export type OurDashboard = Plain<Omit<Dashboard, "panels">> & { panels: OurPanel[] };
