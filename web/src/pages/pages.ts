/** All pages, in the order of the menu, with the least role that may open them. */

import type { Component } from "svelte";
import type { Role } from "../api/client";
import type { IconName } from "../components/icons";
import type { Key } from "../i18n/language.svelte";
import Account from "./Account.svelte";
import Alarms from "./Alarms.svelte";
import Audit from "./Audit.svelte";
import BackOffice from "./BackOffice.svelte";
import Chargers from "./Chargers.svelte";
import Partners from "./Partners.svelte";
import Planning from "./Planning.svelte";
import Rollouts from "./Rollouts.svelte";
import Sessions from "./Sessions.svelte";
import Settings from "./Settings.svelte";
import Site from "./Site.svelte";
import Stations from "./Stations.svelte";
import Tokens from "./Tokens.svelte";
import Users from "./Users.svelte";
import Why from "./Why.svelte";

export interface Page {
  path: string;
  title: Key;
  icon: IconName;
  role: Role;
  group: "operate" | "maintain" | "administer" | "own";
  component: Component;
}

export const PAGES: Page[] = [
  { path: "", title: "nav.site", icon: "site", role: "viewer", group: "operate", component: Site },
  { path: "chargers", title: "nav.chargers", icon: "charger", role: "viewer", group: "operate", component: Chargers },
  { path: "why", title: "nav.why", icon: "why", role: "viewer", group: "operate", component: Why },
  { path: "sessions", title: "nav.sessions", icon: "sessions", role: "viewer", group: "operate", component: Sessions },
  { path: "planning", title: "nav.planning", icon: "planning", role: "viewer", group: "operate", component: Planning },
  { path: "alarms", title: "nav.alarms", icon: "alarm", role: "viewer", group: "maintain", component: Alarms },
  { path: "stations", title: "nav.stations", icon: "station", role: "viewer", group: "maintain", component: Stations },
  { path: "rollouts", title: "nav.rollouts", icon: "firmware", role: "viewer", group: "maintain", component: Rollouts },
  { path: "tokens", title: "nav.tokens", icon: "token", role: "operator", group: "maintain", component: Tokens },
  { path: "partners", title: "nav.partners", icon: "partner", role: "operator", group: "maintain", component: Partners },
  { path: "backoffice", title: "nav.backoffice", icon: "upstream", role: "viewer", group: "maintain", component: BackOffice },
  { path: "settings", title: "nav.settings", icon: "settings", role: "admin", group: "administer", component: Settings },
  { path: "users", title: "nav.users", icon: "users", role: "admin", group: "administer", component: Users },
  { path: "audit", title: "nav.audit", icon: "audit", role: "admin", group: "administer", component: Audit },
  { path: "account", title: "nav.account", icon: "users", role: "viewer", group: "own", component: Account },
];
