// Puts the parts of the page together. What a part does is in its own file.

import { getJson, Refused } from "./api.js";
import { setText } from "./dom.js";
import { Events } from "./events.js";
import { Grid } from "./grid.js";
import { repeat } from "./poll.js";
import { Summary } from "./summary.js";
import { Rates, ringsTable, workersTable } from "./tables.js";
import { themeSwitch } from "./theme.js";

const LISTS_MS = 1_000;
const TICK_MS = 500;

const at = (id) => document.getElementById(id);
const grid = new Grid(at("grid"), at("grid-empty"));
const summary = new Summary(at("summary"));
const events = new Events(at("events"));
const workers = workersTable(at("workers"));
const rings = ringsTable(at("rings"));
const rates = new Rates();
const known = { workers: null, rings: null };
const troubles = new Map();

/** Asks for a list and shows it; a failure is said once, above everything, until it passes. */
function show(path, use) {
  repeat(LISTS_MS, async () => {
    try {
      use(await getJson(path));
      troubles.delete(path);
    } catch (error) {
      troubles.set(path, error instanceof Refused ? error.message : "The web worker does not answer; trying again.");
    }
    const texts = new Set(troubles.values());
    at("notice").hidden = texts.size === 0;
    setText(at("notice"), [...texts].join(" "));
  });
}

themeSwitch(at("theme"));
at("filter").addEventListener("input", (event) => { grid.filter = event.target.value; });

show("/api/v1/cameras", (rows) => grid.update(rows));
show("/api/v1/workers", (rows) => {
  known.workers = rows;
  workers.update(rows, "No workers.");
});
show("/api/v1/rings", (rows) => {
  known.rings = rows;
  const rate = rates.take(rows, performance.now());
  rings.update(rows.map((row) => ({ ...row, rate: rate.get(row.name) })), "No rings yet.");
});

getJson("/api/v1/about").then((about) => {
  setText(at("project"), about.project);
  setText(at("version"), `framevisor ${about.version}`);
  document.title = `${about.project} · framevisor`;
  if (!about.inputs.some((ring) => ring.endsWith(".events"))) return;
  at("events-section").hidden = false;
  show("/api/v1/events", (records) => events.update(records));
}).catch(() => {}); // the lists above say what is wrong

repeat(TICK_MS, async () => {
  grid.tick();
  summary.update({ states: grid.states(), ...known });
});
