/** What operators do to a charger; asks first where it hurts. */

import { api, ask, take, type Evse, type Schemas } from "../api/client";
import { t } from "../i18n/language.svelte";
import { site } from "../live/site.svelte";
import { confirm } from "./confirm.svelte";
import { toasts } from "./toasts.svelte";

export type Action = "pause" | "resume" | "stop" | "unlock" | "reset";
type Hurting = Exclude<Action, "resume">;

function parts(id: string): { station: string; evse: number } {
  const at = id.lastIndexOf("/");
  return { station: id.slice(0, at), evse: Number(id.slice(at + 1)) };
}

function isMeant(action: Hurting, what: string): Promise<boolean> {
  return confirm.ask({
    title: t(`action.${action}.title`, { id: what }),
    text: t(`action.${action}.text`),
    yes: t(`action.${action}`),
    danger: action !== "pause",
  });
}

export async function act(id: string, action: Action): Promise<void> {
  const { station, evse } = parts(id);
  const what = action === "reset" ? station : id;
  if (action !== "resume" && !(await isMeant(action, what))) return;
  try {
    if (action === "reset") {
      await take(api.POST("/api/v1/stations/{id}/reset", { params: { path: { id: station } }, body: { kind: "soft" } }));
    } else {
      const answer = await ask<Evse | Schemas["ActionOut"]>(`/api/v1/evses/${encodeURIComponent(station)}/${evse}/${action}`, { method: "POST" });
      if ("setpoint_a" in answer) site.put(answer);
    }
    toasts.say(t("action.done", { action: t(`action.${action}`), id: what }));
    void site.refreshDetails();
  } catch (error) {
    toasts.fail(error);
  }
}

export async function start(id: string, idToken: string): Promise<boolean> {
  const { station, evse } = parts(id);
  try {
    await take(api.POST("/api/v1/evses/{station}/{evse}/start", { params: { path: { station, evse } }, body: { id_token: idToken } }));
    toasts.say(t("action.done", { action: t("action.start"), id }));
    return true;
  } catch (error) {
    toasts.fail(error);
    return false;
  }
}

export async function wish(id: string, body: Schemas["EvsePatch"]): Promise<boolean> {
  const { station, evse } = parts(id);
  try {
    site.put(await take(api.PATCH("/api/v1/evses/{station}/{evse}", { params: { path: { station, evse } }, body })));
    toasts.say(t("wish.done", { id }));
    return true;
  } catch (error) {
    toasts.fail(error);
    return false;
  }
}
