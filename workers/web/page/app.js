// Puts the parts of the first page together. What a part does is in its own file.

import { getJson } from "./api.js";
import { el, setText } from "./dom.js";
import { Events } from "./events.js";
import { Grid } from "./grid.js";
import { repeat } from "./poll.js";
import { header, Lists } from "./shell.js";
import { Summary } from "./summary.js";

const LISTS_MS = 1_000;
const TICK_MS = 500;

const at = (id) => document.getElementById(id);
const filter = el("input", {
  id: "filter", type: "search", placeholder: "Filter cameras", "aria-label": "Filter cameras by name", autocomplete: "off", spellcheck: "false",
});
header(at("bar"), { title: "Live", place: "Live", tools: [filter] });

const grid = new Grid(at("grid"), at("grid-empty"));
const summary = new Summary(at("summary"));
const events = new Events(at("events"));
const lists = new Lists(at("notice"));
const known = { workers: null, rings: null };
const tell = () => summary.update({ states: grid.states(), ...known });

filter.addEventListener("input", () => { grid.filter = filter.value; });
// As in a list of files: a slash begins the search.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, textarea, select")) return;
  event.preventDefault();
  filter.focus();
});

lists.follow(LISTS_MS, () => "/api/v1/cameras", (rows) => {
  grid.update(rows);
  tell(); // not half a second behind the tiles
});
lists.follow(LISTS_MS, () => "/api/v1/workers", (rows) => { known.workers = rows; });
lists.follow(LISTS_MS, () => "/api/v1/rings", (rows) => { known.rings = rows; });

getJson("/api/v1/about").then((about) => {
  setText(at("version"), `framevisor ${about.version}`);
  if (!about.inputs.some((ring) => ring.endsWith(".events"))) return;
  at("events-section").hidden = false;
  lists.follow(LISTS_MS, () => "/api/v1/events", (records) => events.update(records));
}).catch(() => {}); // the lists above say what is wrong

repeat(TICK_MS, async () => {
  grid.tick();
  tell();
});
