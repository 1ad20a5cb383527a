// Puts the page of workers, rings, events and logs together.

import { restart } from "./actions.js";
import { getJson, Refused } from "./api.js";
import { el, setText } from "./dom.js";
import { Happenings } from "./happenings.js";
import { Logs } from "./logs.js";
import { repeat } from "./poll.js";
import { header, Lists } from "./shell.js";
import { Rates, ringsTable, workersTable } from "./tables.js";
import { token } from "./token.js";

const LISTS_MS = 1_000;
const LOGS_MS = 2_000;
const HISTORY_MS = 5_000;
const LINES = 300;

const at = (id) => document.getElementById(id);
header(at("bar"), { title: "System", place: "System" });

const lists = new Lists(at("notice"));
const workers = workersTable(at("workers"), restart);
const rings = ringsTable(at("rings"));
const happenings = new Happenings(at("happenings"));
const logs = new Logs(at("logs"));
const rates = new Rates();
const known = { workers: [], rings: [], rates: new Map(), history: { rings: {} } };

/** Those that are not well first; else as they came. */
const byTrouble = (one, other) => Number(isWell(one)) - Number(isWell(other));
const isWell = ({ state }) => ["running", "ready", "stopped"].includes(state);

/** Items a second of all that a worker writes now, over the last minutes. */
function given({ pid }) {
  const written = known.rings.filter((ring) => pid && ring.writer_pid === pid).map((ring) => known.history.rings[ring.name]?.rate);
  const lines = written.filter(Boolean);
  if (lines.length === 0) return undefined;
  return lines[0].map((_, place) => lines.reduce((sum, line) => (line[place] === null ? sum : (sum ?? 0) + line[place]), null));
}

function draw() {
  const may = token.held !== "";
  workers.update([...known.workers].sort(byTrouble).map((row) => ({ ...row, may, gives: given(row) })), "No workers.");
  const past = (name) => known.history.rings[name] ?? {};
  rings.update(known.rings.map((row) => ({ ...row, rate: known.rates.get(row.name), rates: past(row.name).rate, lags: past(row.name).lag })), "No rings yet.");
}

lists.follow(LISTS_MS, () => "/api/v1/workers", (rows) => {
  known.workers = rows;
  drawChoice();
  draw();
});
lists.follow(LISTS_MS, () => "/api/v1/rings", (rows) => {
  known.rings = rows;
  known.rates = rates.take(rows, performance.now());
});
lists.follow(HISTORY_MS, () => "/api/v1/history", (history) => { known.history = history; });
lists.follow(LISTS_MS, () => "/api/v1/events", (records) => happenings.update(records));
token.addEventListener("change", draw);

const chosen = () => at("log-of").value;

function drawChoice() {
  const names = known.workers.map(({ name }) => name);
  const select = at("log-of");
  if ([...select.options].map(({ value }) => value).join() === names.join()) return;
  const before = select.value || new URLSearchParams(location.search).get("log") || names[0];
  select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(before)) select.value = before;
}

async function readLogs() {
  if (!chosen()) return;
  try {
    logs.update(await getJson(`/api/v1/logs/${encodeURIComponent(chosen())}?lines=${LINES}`));
    setText(at("log-trouble"), "");
  } catch (error) {
    setText(at("log-trouble"), error instanceof Refused ? `${error.message}. ${error.hint}` : "The web worker does not answer; trying again.");
  }
}

at("log-of").addEventListener("change", readLogs);
at("log-filter").addEventListener("input", (event) => { logs.filter = event.target.value; });
repeat(LOGS_MS, async () => { if (at("log-follow").checked || at("logs").children.length === 0) await readLogs(); });
