// Each component of the page alone, with made-up data; the last test with real pictures.

import { sync } from "/assets/dom.js";
import { Events, things } from "/assets/events.js";
import * as format from "/assets/format.js";
import { Grid, size } from "/assets/grid.js";
import { Loop, pause } from "/assets/poll.js";
import { facts, Summary } from "/assets/summary.js";
import { Rates, ringsTable, workersTable } from "/assets/tables.js";
import { themeSwitch } from "/assets/theme.js";
import { Tile } from "/assets/tile.js";

const stage = document.getElementById("stage");
const results = [];

function equal(seen, wanted) {
  const [a, b] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`saw ${a}, wanted ${b}`);
}

async function test(name, body) {
  stage.replaceChildren();
  try {
    await body();
    results.push(`ok ${name}`);
  } catch (error) {
    results.push(`FAILED ${name}: ${error.stack}`);
  }
}

async function until(what, done) {
  for (let tries = 0; tries < 1500; tries += 1) {
    const value = await done();
    if (value) return value;
    // The page's own time runs ahead of the machine's, except while an answer is awaited.
    await fetch("/healthz", { cache: "no-store" });
    await pause(20);
  }
  throw new Error(`never: ${what}`);
}

const HOSTILE = "<img src=x onerror=alert(1)>";
const row = (name, more = {}) => ({
  name, state: "live", why: "", fps: 25, age_ms: 40, width: 64, height: 48, frames: `${name}.frames`,
  snapshot: `/snap/${name}.jpg`, ...more,
});

await test("numbers read as people write them", () => {
  equal([0, 1536, 8 << 20, 3 * 2 ** 30].map(format.bytes), ["0 B", "1.5 KiB", "8.0 MiB", "3.0 GiB"]);
  equal([null, 40, 9_400, 61_000, 200_000, 8e6].map(format.age), ["–", "0.0 s", "9.4 s", "61 s", "3 min", "2 h"]);
  equal([5, 65, 7_923, 266_400].map(format.span), ["5 s", "1 min 05 s", "2 h 12 min", "3 d 2 h"]);
  equal([null, 0, 4.96, 25.04].map(format.fps), ["– fps", "0.0 fps", "5.0 fps", "25 fps"]);
  equal(format.count(1234567), "1\u202f234\u202f567");
});

await test("a synced list keeps elements and their order", () => {
  const views = new Map();
  const make = () => {
    const element = document.createElement("i");
    return { element, update: (item) => { element.textContent = item; } };
  };
  const show = (items) => {
    sync(stage, views, items, (item) => item, make);
    return [...stage.children].map((child) => child.textContent);
  };
  equal(show(["a", "b", "c"]), ["a", "b", "c"]);
  const b = stage.children[1];
  equal(show(["c", "b", "d"]), ["c", "b", "d"]);
  equal(stage.children[1] === b, true);
  equal(show([]), []);
});

await test("a name is text in every component", () => {
  const tile = new Tile(HOSTILE, () => 1_000);
  tile.update(row(HOSTILE, { state: "stale", age_ms: 9_000, why: HOSTILE }));
  const workers = document.createElement("div");
  workersTable(workers).update([{ name: HOSTILE, kind: HOSTILE, state: HOSTILE, why: HOSTILE, restarts: 0, uptime_s: 1, pid: 1 }], "");
  const rings = document.createElement("div");
  ringsTable(rings).update([{ name: HOSTILE, live: true, head: 1, epoch: 1, bytes: 1, readers: [{ name: HOSTILE, lag: 0, missed: 1 }] }], "");
  const events = document.createElement("ol");
  new Events(events).update([{ ring: "a", id: HOSTILE, type: `${HOSTILE}.begin`, camera: HOSTILE, time_utc_ns: 1 }]);
  stage.append(tile.element, workers, rings, events);
  equal(stage.querySelectorAll("img[src=x]").length, 0);
  equal(stage.textContent.split(HOSTILE).length > 7, true);
});

/** A tile on a clock of its own, fed by hand. */
function handmade(answer) {
  const world = { now: 0 };
  world.tile = new Tile("cam1", () => 100, { get: () => answer(world), now: () => world.now });
  world.tile.update(row("cam1"));
  stage.append(world.tile.element);
  return world;
}

const pixel = () => fetch("/snap/cam01.jpg").then((response) => response.blob());

await test("a tile turns stale when its last frame is older than two seconds and says why", async () => {
  const blob = await pixel();
  const world = handmade(() => Promise.resolve({ blob, etag: "1", epoch: "1", sequence: "7", ageMs: 50 }));
  const { tile } = world;
  tile.watching = true;
  await until("a picture", () => tile.picture.dataset.sequence === "7" && !tile.picture.hidden);
  tile.tick();
  equal([tile.element.dataset.state, tile.badge.textContent, tile.why.textContent], ["live", "live", ""]);
  tile.get = () => new Promise(() => {});
  await pause(300);
  world.now = 12_000;
  tile.update(row("cam1", { state: "stale", why: "ingest is degraded: 401", age_ms: 11_900 }));
  equal(tile.element.dataset.state, "stale");
  equal(tile.why.textContent, "No frame for 12 s: ingest is degraded: 401");
  equal(tile.age.textContent, "12 s");
  tile.remove();
});

await test("a tile without a picture waits, and recovers by itself", async () => {
  let there = false;
  const blob = await pixel();
  const world = handmade(() => (there
    ? Promise.resolve({ blob, etag: "1", epoch: "1", sequence: "1", ageMs: 10 })
    : Promise.reject(new TypeError("no network"))));
  world.tile.watching = true;
  await until("waiting", () => world.tile.element.dataset.state === "waiting");
  equal(world.tile.why.textContent, "the web worker does not answer");
  there = true;
  await until("live", () => world.tile.element.dataset.state === "live");
  world.tile.remove();
});

await test("a tile has one request in flight and none out of view", async () => {
  let open = 0;
  let most = 0;
  let asked = 0;
  const world = handmade(async () => {
    asked += 1;
    open += 1;
    most = Math.max(most, open);
    await pause(30);
    open -= 1;
    return { blob: null, etag: "1", epoch: "1", sequence: "1", ageMs: 1 };
  });
  for (const on of [true, false, true, false, true]) world.tile.watching = on;
  await until("some requests", () => asked > 3);
  world.tile.watching = false;
  await until("the last one", () => open === 0);
  const before = asked;
  await pause(400);
  equal([most, asked - before <= 1], [1, true]);
});

await test("a camera without frames is never asked for pictures", async () => {
  let asked = 0;
  const world = handmade(() => { asked += 1; return new Promise(() => {}); });
  world.tile.update(row("cam1", { snapshot: null }));
  world.tile.watching = true;
  await pause(50);
  equal([asked, world.tile.element.dataset.state], [0, "live"]);
});

await test("the grid is right with none, one, sixteen and two hundred", () => {
  const element = document.createElement("div");
  const empty = document.createElement("p");
  stage.append(element, empty);
  const grid = new Grid(element, empty, { get: () => new Promise(() => {}) });
  for (const count of [0, 1, 16, 200, 16, 0]) {
    grid.update(Array.from({ length: count }, (_, index) => row(`cam${index}`)));
    equal([element.children.length, element.dataset.size, empty.hidden], [count, size(count), count > 0]);
    equal(grid.states().live + grid.states().waiting, count);
  }
  grid.update([row("hall"), row("door")]);
  grid.filter = " DOO";
  equal([...element.children].map((child) => child.dataset.camera), ["door"]);
  grid.filter = "xyz";
  equal(empty.textContent, "No camera's name contains “xyz”.");
});

await test("a loop switched off and on runs once", async () => {
  let runs = 0;
  const loop = new Loop(async () => { runs += 1; return 20; });
  loop.on = true;
  loop.on = false;
  loop.on = true;
  await pause(10);
  equal(runs, 1);
  loop.on = false;
});

await test("tables show rows, states in words, and readers that missed", () => {
  const workers = document.createElement("div");
  const rings = document.createElement("div");
  stage.append(workers, rings);
  const table = workersTable(workers);
  table.update([{ name: "cam1", kind: "ingest", state: "degraded", why: "401", restarts: 1234, uptime_s: 65, pid: 7 }], "");
  equal([...workers.querySelectorAll("td")].map((cell) => cell.textContent),
    ["cam1", "ingest", "degraded", "401", "1\u202f234", "1 min 05 s", "7"]);
  table.update([], "No workers.");
  equal([workers.querySelector("table").hidden, workers.querySelector("p").textContent], [true, "No workers."]);
  ringsTable(rings).update([{ name: "cam1.frames", live: false, head: 5, epoch: 3, bytes: 1024, rate: 25.04,
    readers: [{ name: "motion", lag: 2, missed: 9 }] }], "");
  equal([...rings.querySelectorAll("td")].map((cell) => cell.textContent),
    ["cam1.frames", "no writer", "25.0/s", "5", "motion lag 2 · missed 9", "1.0 KiB", "3"]);
});

await test("rates come from two lists and start again with an epoch", () => {
  const rates = new Rates();
  const list = (epoch, head) => [{ name: "a.frames", epoch, head }];
  equal(rates.take(list(1, 100), 0).get("a.frames"), undefined);
  equal(rates.take(list(1, 125), 1_000).get("a.frames"), 25);
  equal(rates.take(list(2, 1), 2_000).get("a.frames"), undefined);
});

await test("begin, update and end of one thing are one chip", () => {
  const record = (id, type, s) => ({ ring: "m.events", id, type, camera: "cam1", time_utc_ns: s * 1e9 });
  const records = [record("b", "motion.begin", 100), record("a", "motion.end", 98), record("a", "motion.update", 95), record("a", "motion.begin", 90)];
  equal(things(records, 101_000).map(({ open, fromMs, toMs }) => [open, fromMs, toMs]), [[true, 1e5, 1e5], [false, 9e4, 98e3]]);
  equal(things(records, 200_000)[0].open, false);
  const list = document.createElement("ol");
  stage.append(list);
  const events = new Events(list);
  events.update([], 0);
  equal(list.textContent, "Nothing happened so far.");
  events.update(records, 101_000);
  equal([list.children.length, list.children[0].dataset.open], [2, "true"]);
});

await test("the summary names what is not well", () => {
  const seen = { states: { live: 3, stale: 1, waiting: 0 }, workers: [{ state: "running" }, { state: "held" }], rings: [{ bytes: 1 << 20 }] };
  equal(facts(seen).map(({ tone, text }) => `${tone}: ${text}`),
    ["good: 3 live", "bad: 1 stale", "bad: 1 of 2 workers up", "calm: 1.0 MiB in 1 rings"]);
  const list = document.createElement("ul");
  new Summary(list).update({ ...seen, workers: null, rings: null });
  equal(list.children.length, 2);
});

await test("the theme goes from auto to light to dark", () => {
  const button = document.createElement("button");
  const root = document.createElement("div");
  localStorage.removeItem("framevisor-theme");
  themeSwitch(button, root);
  const seen = [root.dataset.theme];
  for (let click = 0; click < 3; click += 1) {
    button.click();
    seen.push(root.dataset.theme);
  }
  equal(seen, ["auto", "light", "dark", "auto"]);
});

/** The number in a strip of 32 cells, or null when its check does not fit. */
function strip(context, width, top) {
  const cell = width / 32;
  let word = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    const [red] = context.getImageData(Math.floor((bit + 0.5) * cell), top + 8, 1, 1).data;
    if (red > 128) word += 2 ** bit;
  }
  const [number, check] = [word % 2 ** 24, Math.floor(word / 2 ** 24)];
  return check === ((number ^ (number >> 8) ^ (number >> 16)) & 255) ? number : null;
}

function frameCode(picture) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  return [strip(context, canvas.width, 0), strip(context, canvas.width, canvas.height - 16)];
}

await test("a tile's picture has the frame's own size, and its frame code advances", async () => {
  const tile = new Tile("cam01", () => 100);
  tile.update(row("cam01"));
  stage.append(tile.element);
  tile.watching = true;
  await until("a picture", () => !tile.picture.hidden);
  equal([tile.picture.naturalWidth, tile.picture.naturalHeight], [320, 192]);
  const [top, bottom] = frameCode(tile.picture);
  equal([top !== null, top === bottom], [true, true]);
  await until("a later frame", () => frameCode(tile.picture)[0] > top);
  const [later, below] = frameCode(tile.picture);
  equal(later === below, true);
  tile.remove();
});

document.getElementById("result").textContent = `${results.join("\n")}\ndone`;
