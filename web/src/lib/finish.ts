/** When a vehicle has what it needs, or why that cannot be said. */

import { t } from "../i18n/language.svelte";
import type { Row } from "../live/site.svelte";
import { moment } from "./format";

const LEAST_W = 100; // below this a vehicle charges towards nothing

export function finishText(evse: Row): string {
  if (evse.finish_at) return moment(evse.finish_at);
  if (!evse.session_id || evse.energy_need_wh == null) return t("facts.unknown");
  if (evse.energy_wh === null) return t("finish.unknown");
  if (evse.energy_need_wh <= evse.energy_wh) return t("finish.met");
  return (evse.power_w ?? 0) < LEAST_W ? t("finish.idle") : t("finish.long");
}
