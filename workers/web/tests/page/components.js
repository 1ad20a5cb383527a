// Each component of the page alone, with made-up data; the last test with real pictures.

import { sync } from "/assets/dom.js";
import { Events, things } from "/assets/events.js";
import * as format from "/assets/format.js";
import { Grid, size } from "/assets/grid.js";
import { Loop, pause } from "/assets/poll.js";
import { facts, Summary } from "/assets/summary.js";
import { Rates, ringsTable, workersTable } from "/assets/tables.js";
import { themeSwitch } from "/assets/theme.js";
import { keyBefore, locate, parse, utcOf } from "/assets/playlist.js";
import { Room } from "/assets/room.js";
import { Conductor, Follower } from "/assets/sync.js";
import { Tile } from "/assets/tile.js";
import { marks, remark, ticks, Timeline } from "/assets/timeline.js";

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
  tile.update(row("cam1", { health: "black" }));
  equal([tile.element.dataset.state, tile.badge.textContent, tile.badge.dataset.tone], ["live", "black", "warn"]);
  tile.update(row("cam1", { health: "ok" }));
  equal([tile.badge.textContent, tile.badge.dataset.tone], ["live", ""]);
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

const PLAYLIST = `#EXTM3U
#EXT-X-DATERANGE:ID="gap-0",CLASS="framevisor.gap",START-DATE="2026-11-20T12:00:08.000Z",DURATION=2.000,X-REASON="missing",X-MISSING=50
#EXT-X-MAP:URI="init/a.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:00.000Z
#EXT-X-FRAMEVISOR-SEGMENT:AT=0.000000,KEY=YES
#EXTINF:4.000000,
segment/a/1-2.m4s?shift=-7
#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:04.003Z
#EXT-X-FRAMEVISOR-SEGMENT:AT=4.000000,KEY=NO
#EXTINF:4.000000,
segment/a/3-4.m4s?shift=-7
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:10.000Z
#EXT-X-FRAMEVISOR-SEGMENT:AT=10.000000,KEY=YES
#EXTINF:4.000000,
segment/a/5-6.m4s?shift=-7
#EXT-X-ENDLIST
`;
const NOON = Date.parse("2026-11-20T12:00:00Z");
const recorded = () => parse(PLAYLIST, "http://host/recordings/cam1/index.m3u8?from=1");

await test("a playlist is segments on one clock, and gaps with their reasons", () => {
  const { segments, gaps, ended } = recorded();
  equal(segments.map(({ at, lasts, key, behindGap }) => [at, lasts, key, behindGap]),
    [[0, 4, true, false], [4, 4, false, false], [10, 4, true, true]]);
  equal(segments[1].url, "http://host/recordings/cam1/segment/a/3-4.m4s?shift=-7");
  equal(segments[2].init, "http://host/recordings/cam1/init/a.mp4");
  equal([gaps[0].from - NOON, gaps[0].to - NOON, gaps[0].reason, gaps[0].missing, ended], [8_000, 10_000, "missing", 50, true]);
  equal(keyBefore(segments, 1), 0);
});

await test("a moment has its place in the video, and in a gap none", () => {
  const { segments } = recorded();
  equal(locate(segments, NOON + 1_500), { index: 0, at: 1.5 });
  equal(locate(segments, NOON + 4_001).index, 0); // the next one says that it begins 3 ms later
  equal(locate(segments, NOON + 5_003), { index: 1, at: 5 });
  equal([locate(segments, NOON - 1), locate(segments, NOON + 9_000), locate(segments, NOON + 20_000)], [null, null, null]);
  equal([utcOf(segments, 1.5) - NOON, utcOf(segments, 11) - NOON], [1_500, 11_000]);
});

const camera = (name, more = {}) => ({ camera: name, ranges: [], gaps: [], comments: [], from_utc_ns: null, to_utc_ns: null, ...more });
const comment = (more) => ({ utc_ns: 25e9, author: "", text: "", tags: [], ...more });

await test("a timeline shows what was recorded, what is missing and why, and remarks", () => {
  const row = camera("cam1", {
    ranges: [{ from_utc_ns: 0, to_utc_ns: 40e9 }, { from_utc_ns: 60e9, to_utc_ns: 900e9 }],
    gaps: [{ from_utc_ns: 40e9, to_utc_ns: 60e9, reason: "missing", missing: 7 }],
    comments: [comment({ author: "anna", text: "a car", tags: ["car"] }), comment({ utc_ns: 200e9 })],
  });
  equal(marks(row, 20_000, 120_000).map(({ kind, left, width, title }) => [kind, left, width, title]), [
    ["there", 0, 20, "recorded"], ["there", 40, 60, "recorded"],
    ["gap", 20, 20, "Packets were lost (7 packets)"], ["note", 5, null, "anna: a car #car"]]);
  equal(ticks(0, 60_000).length <= 8, true);
  equal(ticks(0, 7 * 86_400_000).length > 2, true);
});

await test("a click on the timeline is a moment, and names in it are text", () => {
  let sought = null;
  const timeline = new Timeline(stage, (ms) => { sought = ms; });
  timeline.update([camera(HOSTILE, { comments: [comment({ text: HOSTILE })] })], 0, 100_000);
  equal(stage.querySelectorAll("img[src=x]").length, 0);
  equal(stage.querySelector(".name").textContent, HOSTILE);
  equal(remark(comment({ text: HOSTILE })), HOSTILE);
  const box = timeline.scale.getBoundingClientRect();
  timeline.area.setPointerCapture = () => {};
  timeline.area.dispatchEvent(new PointerEvent("pointerdown", { clientX: box.left + box.width / 4, clientY: box.top, buttons: 1 }));
  equal(Math.round(sought / 1000), 25);
  timeline.head(50_000, "now");
  equal([timeline.line.hidden, timeline.line.style.getPropertyValue("--share")], [false, "0.5"]);
  timeline.head(200_000, "later");
  equal(timeline.line.hidden, true);
});

/** What a follower needs of a video, moved by hand. */
function made() {
  const video = { currentTime: 0, paused: true, seeking: false, readyState: 4, playbackRate: 1 };
  video.play = () => { video.paused = false; return Promise.resolve(); };
  video.pause = () => { video.paused = true; };
  return video;
}

await test("a video far from the clock is sought, one near it is brought there by a little speed", () => {
  const video = made();
  const film = { want: (now) => ({ at: now / 1000 }), utc: (at) => at * 1000, ends: () => false };
  const follower = new Follower(video, film);
  follower.tick(10_000, true, 1);
  equal([video.currentTime, video.paused], [10, false]);
  video.currentTime = 10.05;
  follower.tick(10_000, true, 1);
  equal([video.currentTime, Math.round(video.playbackRate * 100)], [10.05, 90]);
  follower.soughtAnew();
  follower.tick(10_000, false, 1);
  equal([video.currentTime, video.paused], [10, true]);
});

await test("in a gap a video rests and says why, and nobody waits for it", () => {
  const video = made();
  const follower = new Follower(video, { want: () => ({ why: "Packets were lost" }), utc: () => null, ends: () => false });
  video.paused = false;
  video.readyState = 0;
  follower.tick(5, true, 1);
  equal([video.paused, follower.why, follower.ready(5)], [true, "Packets were lost", true]);
  follower.film.want = () => ({ why: "Waiting", waits: true });
  follower.tick(5, true, 1);
  equal([follower.why, follower.ready(5)], ["Waiting", false]);
});

await test("the clock waits for who has no picture yet, and stops at the end", () => {
  const clock = new Conductor(0, 1_000, 500);
  let ready = false;
  clock.followers = [{ ready: () => ready, tick: () => {}, soughtAnew: () => {} }];
  clock.play();
  clock.step(0);
  clock.step(100);
  equal(clock.now, 500);
  ready = true;
  clock.step(200);
  equal(clock.now, 600);
  clock.rate = 4;
  clock.step(300);
  equal([clock.now, clock.playing], [1_000, false]);
  clock.seek(-5);
  equal(clock.now, 0);
});

await test("a room loads around the moment, steps by frames and lets go of what it showed", async () => {
  const made_ = [];
  const screen = (name, from, to) => {
    const one = {
      camera: name, from, to, open: true, element: document.createElement("figure"), untell: () => {}, draw: () => {},
      close: () => { one.open = false; },
      film: { utc: (at) => at * 1000 },
      follower: { why: null, ready: () => true, tick: () => {}, soughtAnew: () => {} },
      pictures: async (now) => {
        const all = [0, 1, 2].map((n) => ({ at_s: n * 0.04, lasts_s: 0.04 }));
        return { ring: "r", all, index: Math.min(2, Math.floor(now / 40 + 0.01)) };
      },
    };
    made_.push(one);
    return one;
  };
  const room = new Room(stage, { screen, wall: () => 1e9 });
  room.show(["a", "b"], 41, 0, 9e6);
  equal([made_.length, stage.dataset.count, stage.children.length], [2, "2", 2]);
  await room.frame(1);
  equal(room.clock.now, 100);
  await room.frame(1);
  equal(room.clock.now, 140);
  await room.frame(-1);
  equal([room.clock.now, room.clock.playing], [60, false]);
  room.seek(8e6);
  equal([made_.length, made_.slice(0, 2).map((one) => one.open)], [4, [false, false]]);
  room.show([], 8e6, 0, 9e6);
  equal(stage.textContent, "Choose a camera above.");
});

await test("a room that grows is loaded anew before it is as long as a day", () => {
  const made_ = [];
  const screen = (name, from, to) => {
    const follower = { why: null, ready: () => true, tick: () => {}, soughtAnew: () => {} };
    const element = document.createElement("figure");
    made_.push({ from, to });
    return { camera: name, element, follower, film: {}, untell: () => {}, draw: () => {}, close: () => {} };
  };
  const hour = 3_600_000;
  const room = new Room(stage, { screen, wall: () => 10 * hour });
  room.show(["a"], 10 * hour, 0, 10 * hour);
  room.clock.play();
  const at = (now) => {
    room.grow(0, now + 1_000);
    room.clock.now = now;
    room.clock.playing = true;
    room.step(0);
    return made_.length;
  };
  equal([at(11 * hour), at(13 * hour), at(13.5 * hour), at(14 * hour)], [1, 1, 2, 2]);
  equal(made_.at(-1), { from: 13 * hour, to: null });
});

/** What a film needs of a browser's Media Source Extensions; `did` is told what the buffer is told. */
function madeSource(did) {
  class Buffer extends EventTarget {
    #do(what) {
      did.push(what);
      setTimeout(() => this.dispatchEvent(new Event("updateend")));
    }

    appendBuffer(bytes) {
      this.#do(new TextDecoder().decode(bytes));
    }

    remove(from, to) {
      this.#do(`remove ${from} ${to}`);
    }
  }
  return class extends EventTarget {
    static isTypeSupported = () => true;

    constructor() {
      super();
      setTimeout(() => this.dispatchEvent(new Event("sourceopen")));
    }

    addSourceBuffer() {
      return new Buffer();
    }
  };
}

await test("a film says what was removed, and begins anew when its own begin was", async () => {
  const did = [];
  const real = [globalThis.fetch, globalThis.MediaSource, globalThis.ManagedMediaSource, URL.createObjectURL];
  const [load] = real;
  let first = 0;
  const listed = () => Array.from({ length: 9 - first }, (_, n) => [
    '#EXT-X-MAP:URI="/recordings/cam9/init.mp4"',
    `#EXT-X-PROGRAM-DATE-TIME:${new Date(NOON + (first + n) * 4_000).toISOString()}`,
    `#EXT-X-FRAMEVISOR-SEGMENT:AT=${n * 4},KEY=YES`, "#EXTINF:4,",
    `/recordings/cam9/segment/${first + n}.m4s?shift=${first}`].join("\n")).join("\n");
  const answer = (url) => {
    if (url.includes("segment/3.m4s")) return { ok: false, status: 404, json: async () => ({}) };
    const bytes = new TextEncoder().encode(url.split("/").at(-1)).buffer;
    return { ok: true, url, headers: new Headers(), text: async () => listed(), arrayBuffer: async () => bytes };
  };
  globalThis.fetch = async (url, ...more) => String(url).includes("/cam9/") ? answer(url) : load(url, ...more);
  [globalThis.MediaSource, globalThis.ManagedMediaSource] = [madeSource(did), undefined];
  URL.createObjectURL = () => "blob:made";
  // Of its own, since a film looks once for what the browser has.
  const { Film } = await import("/assets/film.js?made");
  const film = new Film("cam9", { removeAttribute: () => {}, load: () => {} }, NOON);
  try {
    const wants = (ms) => film.want(NOON + ms);
    await until("pictures", () => wants(1_000).at === 1 && did.includes("0.m4s?shift=0"));
    await until("what was removed", () => wants(13_000).why === "It was removed to make room");
    equal([wants(13_000).at, wants(17_000).at], [undefined, 17]);
    first = 1;
    await until("the new begin", () => wants(5_000).at === 1 && did.includes("1.m4s?shift=1"));
    equal(did.indexOf("remove 0 Infinity") < did.indexOf("1.m4s?shift=1"), true);
    equal(did.includes("remove 0 Infinity"), true);
  } finally {
    film.close();
    [globalThis.fetch, globalThis.MediaSource, globalThis.ManagedMediaSource, URL.createObjectURL] = real;
  }
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
