import "uplot/dist/uPlot.min.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { startLanguage } from "./i18n/language.svelte";
import { startTheme } from "./lib/theme.svelte";

startTheme();
await startLanguage();
const target = document.getElementById("app");
if (target) mount(App, { target });
