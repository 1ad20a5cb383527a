// Each component of the page alone, with made-up data; the last test with real pictures.

import { sync } from "/assets/dom.js";
import { Edge } from "/assets/edge.js";
import { Events, things } from "/assets/events.js";
import * as format from "/assets/format.js";
import { picture as pictureOf } from "/assets/fragment.js";
import { Grid, size } from "/assets/grid.js";
import { Mse } from "/assets/mse.js";
import { Player } from "/assets/player.js";
import { Loop, pause } from "/assets/poll.js";
import { facts, Summary } from "/assets/summary.js";
import { Rates, ringsTable, workersTable } from "/assets/tables.js";
import { themeSwitch } from "/assets/theme.js";
import { keyBefore, locate, parse, utcOf } from "/assets/playlist.js";
import { Room } from "/assets/room.js";
import { Conductor, Follower } from "/assets/sync.js";
import { Tile } from "/assets/tile.js";
import { marks, remark, ticks, Timeline } from "/assets/timeline.js";
import { Ways } from "/assets/ways.js";
import { Whep, WhepWay } from "/assets/whep.js";
import { equal, stage, test, until } from "./harness.js";

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
    ["cam1", "ingest", "degraded", "401", "1\u202f234", "1 min 05 s", "", "7", ""]);
  table.update([], "No workers.");
  equal([workers.querySelector("table").hidden, workers.querySelector("p").textContent], [true, "No workers."]);
  ringsTable(rings).update([{ name: "cam1.frames", live: false, head: 5, epoch: 3, bytes: 1024, rate: 25.04,
    readers: [{ name: "motion", lag: 2, missed: 9 }] }], "");
  equal([...rings.querySelectorAll("td")].map((cell) => cell.textContent),
    ["cam1.frames", "no writer", "25.0/s", "", "5", "motion lag 2 · missed 9", "1.0 KiB", "3"]);
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
  equal(facts({ ...seen, workers: null, rings: [{ bytes: 1, drops: { no_slot: 1200, too_large: 34, let_go: 9, copied: 9 } }] })[2].text, "1\u202f234 dropped");
  const list = document.createElement("ul");
  const summary = new Summary(list);
  summary.update(seen);
  equal([...list.querySelectorAll("a")].map((link) => new URL(link.href).pathname), ["/system", "/system"]);
  summary.update({ ...seen, workers: null, rings: null });
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
      camera: name, from, to, open: true, element: document.createElement("figure"), untell: () => {}, draw: () => {}, mark: () => {},
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
    return { camera: name, element, follower, film: {}, untell: () => {}, draw: () => {}, mark: () => {}, close: () => {} };
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
  const lists = [];
  let first = 0;
  const listed = () => Array.from({ length: 9 - first }, (_, n) => [
    '#EXT-X-MAP:URI="/recordings/cam9/init.mp4"',
    `#EXT-X-PROGRAM-DATE-TIME:${new Date(NOON + (first + n) * 4_000).toISOString()}`,
    `#EXT-X-FRAMEVISOR-SEGMENT:AT=${n * 4},KEY=YES`, "#EXTINF:4,",
    `/recordings/cam9/segment/${first + n}.m4s?shift=${first}`].join("\n")).join("\n");
  const answer = (url) => {
    if (url.includes(".json")) {
      lists.push(url);
      return lists.length === 1 ? { ok: false, status: 503, json: async () => ({}) } : { ok: true, json: async () => ({ ring: "r", pictures: [] }) };
    }
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
    // What failed is asked for anew, what was told is not.
    const refused = await film.pictures(NOON + 1_000).catch((error) => error.status);
    const told = await Promise.all([film.pictures(NOON + 1_000), film.pictures(NOON + 2_000)]);
    equal([refused, told.map(({ ring }) => ring), lists.length], [503, ["r", "r"], 2]);
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

await test("a live video is kept near its end, the nearer the steadier it comes", () => {
  const edge = new Edge(0.1);
  const step = (at, ...ranges) => {
    const { seek, rate } = edge.step(0, at, ranges);
    return [seek === null ? null : Math.round(seek * 100) / 100, Math.round(rate * 100) / 100];
  };
  equal(step(0), [null, 1]);
  equal(step(0, [1, 1.04]), [1, 1]); // the first picture
  equal(step(1, [1, 1.1]), [null, 1]);
  equal(step(1, [1, 1.4]), [null, 1.15]); // a little late: a little quicker
  equal(step(1, [1, 4]), [3.9, 1]); // very late
  equal(step(1.5, [1, 2], [3, 3.5]), [3.4, 1]); // what was skipped is not waited for
  equal(step(9, [1, 2]), [1.9, 1]);
  edge.stalled(0);
  equal(Math.round(edge.targetS * 100), 18);
  edge.step(11_000, 1, [[1, 1.2]]);
  equal(edge.targetS < 0.18 && edge.targetS >= 0.1, true);
});

/** Bytes of a box. */
function box(kind, ...content) {
  const body = content.flat();
  const size = body.length + 8;
  return [...number(size, 4), ...new TextEncoder().encode(kind), ...body];
}

function number(value, bytes) {
  const digits = [];
  for (let rest = BigInt(value), left = bytes; left > 0; left -= 1, rest >>= 8n) digits.unshift(Number(rest & 255n));
  return digits;
}

/** A fragment as the server sends it: a sound, then a picture that is shown at `ticks`. */
function fragment({ epoch, first, ticks, captureNs = 0n }) {
  const ring = [...new TextEncoder().encode("cam1.packets")];
  const head = [1, 0, ...number(ring.length, 2), ...number(2, 4), ...number(epoch, 8), ...number(first, 8), ...number(captureNs, 8)];
  const traf = (track, at, ...sample) => box("traf",
    box("tfhd", number(0x020000, 4), number(track, 4)),
    box("tfdt", [1, 0, 0, 0], number(at, 8)),
    box("trun", number(sample.length === 4 ? 0x000b05 : 0x000301, 4), number(1, 4), number(0, 4), ...sample.map((value) => number(value, 4))));
  // Of the picture: flags of the first sample, duration, size, and 40 ms from decoding to showing.
  const moof = box("moof", box("mfhd", number(0, 8)), traf(2, 99, 960, 10), traf(1, ticks - 3_600, 0x02000000, 3_600, 20, 3_600));
  return new Uint8Array([...box("uuid", new Array(16).fill(7), head, ring, [1, 0], number(0, 4)), ...moof, ...box("mdat", [1, 2, 3])]);
}

await test("a fragment says which packet its picture is, and when it is shown", () => {
  const bytes = fragment({ epoch: 1_795_176_000_000_000, first: 41, ticks: 900_000, captureNs: 1_500_000_000n });
  equal(pictureOf(bytes, 1, 90_000), { epoch: "1795176000000000", sequence: 42, captureMs: 1500, at: 10 });
  equal(pictureOf(bytes, 3, 90_000), null);
  equal(pictureOf(bytes.subarray(0, 30), 1, 90_000), null);
  equal(pictureOf(new Uint8Array(0), 1, 90_000), null);
});

/** What a player needs of a browser, all of it made up; `did` is told what is done. */
function madeBrowser() {
  const did = [];
  const sockets = [];
  const timeRanges = (list) => ({ length: list.length, start: (index) => list[index][0], end: (index) => list[index][1] });
  class Socket extends EventTarget {
    constructor(url) {
      super();
      this.url = url;
      sockets.push(this);
    }

    say(data) {
      this.dispatchEvent(new MessageEvent("message", { data: data instanceof Uint8Array ? data.buffer : JSON.stringify(data) }));
    }

    close() {
      this.dispatchEvent(new Event("close"));
    }
  }
  class Buffer extends EventTarget {
    updating = false;
    list = [];
    timestampOffset = 0;

    get buffered() {
      return timeRanges(this.list);
    }

    changeType(type) {
      did.push(`change ${type}`);
    }

    appendBuffer(bytes) {
      did.push(`append ${bytes.length} at ${this.timestampOffset}`);
      this.updating = true;
      setTimeout(() => {
        this.updating = false;
        this.list = [[1, (this.list[0]?.[1] ?? 1) + 0.5]];
        this.dispatchEvent(new Event("updateend"));
      });
    }
  }
  class Source extends EventTarget {
    static isTypeSupported = (type) => !type.includes("hvc1");

    constructor() {
      super();
      this.readyState = "closed";
      setTimeout(() => {
        this.readyState = "open";
        this.dispatchEvent(new Event("sourceopen"));
      });
    }

    addSourceBuffer(type) {
      did.push(`add ${type}`);
      this.buffer = new Buffer();
      return this.buffer;
    }
  }
  class Video extends EventTarget {
    currentTime = 1;
    playbackRate = 1;
    paused = false;
    buffered = timeRanges([]);
    removeAttribute() {}
    load() {}
    play() {}
    requestVideoFrameCallback(callback) { this.show = (mediaTime) => callback(0, { mediaTime }); }
  }
  return { did, sockets, Socket, Source, video: new Video() };
}

await test("fragments are put behind each other over restarts, and what is shown is named", async () => {
  const real = URL.createObjectURL;
  URL.createObjectURL = () => "blob:made";
  const { did, sockets, Socket, Source, video } = madeBrowser();
  const told = [];
  const mse = new Mse("cam1", video, (now) => told.push(now), { Socket, Source });
  try {
    mse.start();
    equal(sockets[0].url.endsWith("/live/cam1"), true);
    const init = new Uint8Array(7);
    const one = fragment({ epoch: 5, first: 10, ticks: 9_000_000 });
    const said = { type: "mse", value: 'video/mp4; codecs="avc1.64001e"', at_s: 100, track: 1, ticks: 90_000 };
    sockets[0].say(said);
    sockets[0].say(init);
    sockets[0].say(one);
    // One append or two: what waits goes at once.
    await until("an append", () => did.filter((what) => what.startsWith("append")).length > 0);
    equal(did[0], 'add video/mp4; codecs="avc1.64001e"');
    equal(did.filter((what) => what.startsWith("append")).every((what) => what.endsWith("at -99")), true);
    await until("a picture", () => { video.show(1); return told.at(-1)?.picture; });
    equal([told.at(-1).state, told.at(-1).picture.epoch, told.at(-1).picture.sequence], ["playing", "5", 11]);
    // The camera begins anew, with other tracks and times of its own.
    const before = did.length;
    sockets[0].say({ ...said, value: 'video/mp4; codecs="av01.0.00M.08"', at_s: 10 });
    sockets[0].say(init);
    await until("the next append", () => did.length > before + 1);
    equal(did[before], 'change video/mp4; codecs="av01.0.00M.08"');
    equal(Number(did[before + 1].split("at ")[1]) > -10, true); // behind the end of what there was
    // Sound comes: as many tracks as that need a source of their own.
    sockets[0].say({ ...said, value: 'video/mp4; codecs="avc1.64001e,opus"', at_s: 20 });
    sockets[0].say(init);
    await until("a new source", () => did.includes('add video/mp4; codecs="avc1.64001e,opus"'));
    await until("its first append", () => did.at(-1) === "append 7 at -19");
    // The server goes away and comes back.
    sockets[0].close();
    await until("another connection", () => sockets.length === 2);
    equal(told.at(-1).state, "waiting");
    sockets[1].say({ type: "waiting", why: "ring cam1.packets is quiet" });
    equal(told.at(-1).why, "ring cam1.packets is quiet");
    sockets[1].say({ ...said, value: 'video/mp4; codecs="hvc1.1.6.L90.90"' });
    equal([told.at(-1).state, told.at(-1).why], ["failed", 'This browser cannot play video/mp4; codecs="hvc1.1.6.L90.90"']);
  } finally {
    mse.stop();
    URL.createObjectURL = real;
  }
});

await test("a browser that took nothing for long begins with what comes then", async () => {
  const real = URL.createObjectURL;
  URL.createObjectURL = () => "blob:made";
  const { did, sockets, Socket, Source, video } = madeBrowser();
  const browser = { takes: false };
  class Late extends Source {
    get readyState() {
      return browser.takes ? "open" : "closed";
    }

    set readyState(_) {}
  }
  const appended = () => did.filter((what) => what.startsWith("append")).reduce((sum, what) => sum + Number(what.split(" ")[1]), 0);
  const mse = new Mse("cam1", video, () => {}, { Socket, Source: Late });
  try {
    mse.start();
    const said = { type: "mse", value: 'video/mp4; codecs="avc1.64001e"', at_s: 1, track: 1, ticks: 90_000 };
    sockets[0].say(said);
    for (let mib = 0; mib < 30; mib += 1) sockets[0].say(new Uint8Array(1 << 20));
    await until("another connection", () => sockets.length === 2);
    browser.takes = true;
    sockets[1].say(said);
    sockets[1].say(new Uint8Array(7));
    await until("an append", () => appended() > 0);
    equal(appended(), 7);
  } finally {
    mse.stop();
    URL.createObjectURL = real;
  }
});

/** Ways to play that do what they are told: `made` are those that were begun. */
function madeWays() {
  const made = [];
  const way = (name, surface, can = true) => ({
    name, title: name, surface, can: () => can,
    make: (camera, element, tell) => {
      const one = { name, camera, element, tell, open: false, start: () => { one.open = true; }, stop: () => { one.open = false; } };
      made.push(one);
      return one;
    },
  });
  return { made, way };
}

await test("a player takes the next way when one fails, and says which it shows", async () => {
  const { made, way } = madeWays();
  const clock = { ms: 0 };
  const transports = [way("best", "video"), way("not here", "video", false), way("plain", "image")];
  const player = new Player("cam1", { transports, now: () => clock.ms });
  stage.append(player.element);
  const changes = [];
  player.element.addEventListener("change", () => changes.push(`${player.transport} ${player.state}`));
  player.on = true;
  equal([made[0].name, made[0].open, player.video.hidden, player.image.hidden], ["best", true, false, true]);
  made[0].tell({ state: "playing", why: "", picture: { epoch: "7", sequence: 9 } });
  equal([player.element.dataset.transport, player.element.dataset.sequence, player.title], ["best", "9", "best"]);
  made[0].tell({ state: "failed", why: "no" });
  equal([made[0].open, made[1].name, made[1].open, player.video.hidden, player.image.hidden], [false, "plain", true, true, false]);
  made[0].tell({ state: "playing", why: "" }); // of a way that was left: nobody listens
  equal(player.state, "waiting");
  made[1].tell({ state: "playing", why: "" });
  equal(player.ageMs, 0);
  clock.ms = 2_500;
  await until("silence is no playing", () => player.state === "waiting");
  made[1].tell({ state: "failed", why: "nor this" });
  equal([player.state, player.why, player.transport], ["failed", "nor this", null]);
  clock.ms = 8_000;
  await until("everything is tried again", () => made.length === 3 && made[2].open);
  equal(changes, ["best waiting", "best playing", "plain waiting", "plain playing", "plain waiting", "null failed", "best waiting"]);
  player.on = false;
  equal([made[2].open, player.state, player.element.dataset.state], [false, "off", "off"]);
});

await test("a player that is told one way tries no other, and that one again", async () => {
  const { made, way } = madeWays();
  const clock = { ms: 0 };
  const transports = [way("best", "video"), { ...way("plain", "image"), label: "plain pictures" }, way("not here", "video", false)];
  const player = new Player("cam1", { transports, now: () => clock.ms });
  equal([player.way, player.ways], ["", [{ name: "best", label: "best" }, { name: "plain", label: "plain pictures" }]]);
  player.on = true;
  player.way = "plain";
  equal([made.map(({ name, open }) => `${name} ${open}`), player.image.hidden], [["best false", "plain true"], false]);
  made[1].tell({ state: "failed", why: "no pictures" });
  equal([player.state, player.why, made.length], ["failed", "no pictures", 2]);
  clock.ms = 6_000;
  await until("it is tried again", () => made.length === 3);
  equal(made[2].name, "plain");
  // An endless image tells of its first picture and of no other.
  made[2].tell({ state: "playing", why: "", picture: null, lasting: true });
  clock.ms = 60_000;
  equal([player.state, player.ageMs], ["playing", null]);
  player.way = "";
  equal([made[2].open, made[3].name, made[3].open], [false, "best", true]);
  player.on = false;
});

await test("a player comes back to a better way that was lost, and not to one that was refused", async () => {
  const { made, way } = madeWays();
  const clock = { ms: 0 };
  const player = new Player("cam1", { transports: [way("best", "video"), way("plain", "image")], now: () => clock.ms });
  player.on = true;
  made[0].tell({ state: "failed", why: "nobody answers", lost: true });
  made[1].tell({ state: "playing", why: "" });
  clock.ms = 15_000;
  made[1].tell({ state: "playing", why: "" });
  await pause(1_200);
  equal([made.length, made[1].open], [2, true]);
  clock.ms = 21_000;
  await until("the best is tried again", () => made.length === 3);
  equal([made[1].open, made[2].name, made[2].open], [false, "best", true]);
  // Later and later, where it stays away.
  made[2].tell({ state: "failed", why: "nobody answers", lost: true });
  made[3].tell({ state: "playing", why: "" });
  clock.ms = 55_000;
  await pause(1_200);
  equal(made.length, 4);
  clock.ms = 62_000;
  await until("and again", () => made.length === 5);
  made[4].tell({ state: "failed", why: "this browser cannot play it" });
  made[5].tell({ state: "playing", why: "" });
  clock.ms = 9_000_000;
  await pause(1_200);
  equal([made.length, made[5].open], [6, true]);
  player.on = false;
});

await test("a tile whose video falls silent is stale at once, by the last picture it showed", () => {
  const clock = { ms: 0 };
  const player = { element: document.createElement("div"), state: "playing", title: "video", ageMs: 40, on: false };
  const tile = new Tile("cam1", () => 50, { get: () => new Promise(() => {}), now: () => clock.ms, play: () => player });
  stage.append(tile.element);
  tile.watching = true;
  tile.update(row("cam1", { live: "/live/cam1" }));
  equal(tile.element.dataset.state, "live");
  clock.ms = 2_960;
  player.state = "waiting";
  tile.tick();
  equal([tile.element.dataset.state, tile.why.textContent, tile.loop.on], ["stale", "No frame for 3 s", true]);
  tile.remove();
});

await test("tiles hold no connection for an endless image", () => {
  const tile = new Tile("cam1", () => 50);
  tile.update(row("cam1", { live: "/live/cam1" }));
  const names = tile.player.ways.map(({ name }) => name);
  equal([names.includes("mjpeg"), names.includes("ws-jpeg"), tile.player.on], [false, true, false]);
  tile.remove();
});

await test("the way is chosen among those there are, and kept in the address", () => {
  const page = { location: { href: "http://127.0.0.1/fv/camera?name=a&way=whep#x" } };
  page.history = { state: null, replaceState: (_state, _title, href) => { page.location.href = href; } };
  const there = [{ name: "ws-mse", label: "video over WebSocket" }, { name: "whep", label: HOSTILE }];
  const [select, player] = [document.createElement("select"), { way: "", ways: there }];
  const ways = new Ways(select, player, page);
  const shown = [...select.options].map(({ value, text }) => `${value}: ${text}`);
  equal(shown, [": automatic", "ws-mse: video over WebSocket", `whep: ${HOSTILE}`]);
  equal([select.value, player.way, ways.kept], ["whep", "whep", "&way=whep"]);
  const choose = (name) => {
    select.value = name;
    select.dispatchEvent(new Event("change"));
    return [player.way, page.location.href];
  };
  equal(choose(""), ["", "http://127.0.0.1/fv/camera?name=a#x"]);
  equal([choose("ws-mse"), ways.kept], [["ws-mse", "http://127.0.0.1/fv/camera?name=a&way=ws-mse#x"], "&way=ws-mse"]);
  // What this browser has not is left to the player.
  const other = { select: document.createElement("select"), player: { way: "", ways: there } };
  new Ways(other.select, other.player, { location: { href: "http://127.0.0.1/camera?name=a&way=hls" } });
  equal([other.select.value, other.player.way], ["", ""]);
});

await test("a tile shows live video while there is some, and pictures while there is none", async () => {
  const player = { element: document.createElement("div"), state: "waiting", title: "video", ageMs: 40, on: false };
  let asked = 0;
  const get = async () => { asked += 1; return { blob: null, etag: "1", epoch: "1", sequence: "1", ageMs: 1 }; };
  const room = { there: true };
  const tile = new Tile("cam1", () => 50, { get, now: () => 0, play: () => player, mayPlay: () => room.there });
  stage.append(tile.element);
  tile.update(row("cam1"));
  equal(tile.player, null);
  tile.update(row("cam1", { live: "/live/cam1" }));
  tile.watching = true;
  equal([player.on, tile.element.dataset.plays], [true, "false"]);
  await until("a picture meanwhile", () => asked > 0);
  player.state = "playing";
  tile.tick();
  equal([tile.element.dataset.plays, tile.element.dataset.state, tile.way.textContent, tile.loop.on], ["true", "live", "video", false]);
  player.ageMs = 5_000;
  tile.tick();
  equal([tile.element.dataset.state, tile.why.textContent], ["stale", "No frame for 5 s"]);
  // It cannot tell: the server does.
  player.ageMs = null;
  tile.tick();
  equal([tile.element.dataset.state, tile.age.textContent], ["live", "0.0 s"]);
  room.there = false;
  tile.tick();
  equal(player.on, false);
  tile.remove();
});

/** What a viewer by WebRTC needs of a browser and of the server; `answers` are those of the server, in turn. */
function madeWorld(answers) {
  const world = { peers: [], asked: [], told: [], video: {} };
  world.Peer = class extends EventTarget {
    connectionState = "new";
    open = true;
    kinds = [];

    constructor() {
      super();
      world.peers.push(this);
    }

    addTransceiver(kind, { direction }) {
      this.kinds.push(`${kind} ${direction}`);
    }

    createOffer() {
      return Promise.resolve({ type: "offer", sdp: "an offer" });
    }

    setLocalDescription(description) {
      this.localDescription = description;
      return Promise.resolve();
    }

    setRemoteDescription(description) {
      this.remoteDescription = description;
      return Promise.resolve();
    }

    close() {
      this.open = false;
    }

    become(state) {
      this.connectionState = state;
      this.dispatchEvent(new Event("connectionstatechange"));
    }
  };
  world.load = async (url, { method, body }) => {
    world.asked.push([method, new URL(url).pathname, body].filter(Boolean).join(" "));
    if (method === "DELETE") return { ok: true };
    const { status = 201, headers = {}, text = "an answer" } = answers.shift() ?? {};
    return { ok: status < 300, status, url, headers: new Headers(headers), text: async () => text, json: async () => JSON.parse(text) };
  };
  const tell = (state, why) => world.told.push(why ? `${state}: ${why}` : state);
  const { Peer, load, video } = world;
  world.whep = new Whep("cam1", video, { tell, Peer, load, pauses: [20, 20] });
  return world;
}

const viewerAt = (id) => ({ headers: { Location: `cam1/${id}`, "Framevisor-Left-Out": "AAC" } });

await test("a viewer by WebRTC offers to receive, shows what comes, and ends where the answer says", async () => {
  const world = madeWorld([viewerAt(7)]);
  world.whep.connect();
  world.whep.connect();
  await until("an answer", () => world.peers[0].remoteDescription);
  const [peer] = world.peers;
  equal([world.peers.length, peer.kinds], [1, ["video recvonly", "audio recvonly"]]);
  equal(world.asked, ["POST /whep/cam1 an offer"]);
  equal(peer.remoteDescription, { type: "answer", sdp: "an answer" });
  const canvas = document.createElement("canvas");
  canvas.getContext("2d");
  const [track] = canvas.captureStream().getTracks();
  peer.dispatchEvent(Object.assign(new Event("track"), { track }));
  peer.become("connected");
  equal([world.video.srcObject.getTracks().length, world.video.muted, world.whep.leftOut], [1, true, "AAC"]);
  world.whep.close();
  equal([peer.open, world.video.srcObject, world.asked.at(-1)], [false, null, "DELETE /whep/cam1/7"]);
  equal(world.told, ["connecting", "live", "idle"]);
});

await test("a viewer by WebRTC comes again after a refusal and after a loss, and not after it is closed", async () => {
  const refusal = { status: 503, text: JSON.stringify({ error: { text: "cam1 has sent nothing so far", hint: "ask again" } }) };
  const world = madeWorld([refusal, viewerAt(1), viewerAt(2)]);
  world.whep.connect();
  await until("a second try", () => world.peers[1]?.remoteDescription);
  equal(world.told.slice(0, 2), ["connecting", "waiting: cam1 has sent nothing so far"]);
  world.peers[1].become("connected");
  world.peers[1].become("failed");
  equal([world.peers[1].open, world.asked.at(-1)], [false, "DELETE /whep/cam1/1"]);
  await until("a third try", () => world.peers[2]?.remoteDescription);
  world.peers[1].become("failed");
  equal(world.whep.state, "connecting");
  world.peers[2].become("closed");
  world.whep.close();
  await pause(200);
  equal([world.peers.length, world.whep.state], [3, "idle"]);
});

/** WebRTC as a way of a player, in that world; `told` is what it tells. */
function madeWhepWay(world) {
  const told = [];
  world.video.requestVideoFrameCallback = (callback) => { world.show = callback; };
  const { Peer, load } = world;
  return { told, way: new WhepWay("cam1", world.video, (now) => told.push(now), { Peer, load, pauses: [20, 20] }) };
}

await test("WebRTC as a way of the player tells of each picture, and leaves the video as loud as it is", async () => {
  const world = madeWorld([viewerAt(3)]);
  const { told, way } = madeWhepWay(world);
  world.video.muted = false;
  way.start();
  await until("an answer", () => world.peers[0].remoteDescription);
  world.peers[0].become("connected");
  equal(told, [{ state: "waiting", why: "" }]);
  world.show();
  world.show();
  equal([told.length, told.at(-1), world.video.muted], [3, { state: "playing", why: "", picture: null }, false]);
  way.stop();
  world.show();
  equal([told.length, world.peers[0].open, world.asked.at(-1)], [3, false, "DELETE /whep/cam1/3"]);
});

await test("WebRTC waits for a camera that is silent, and has failed when it is refused for good", async () => {
  const refusal = (status, code, text) => ({ status, text: JSON.stringify({ error: { code, text, hint: "" } }) });
  const silent = refusal(503, "no-packet-yet", "cam1 has sent nothing so far");
  const world = madeWorld([...Array(6).fill(silent), refusal(406, "no-webrtc-format", "B-frames")]);
  const { told, way } = madeWhepWay(world);
  way.start();
  await until("the end of it", () => told.at(-1)?.state === "failed");
  equal([told.at(-1).why, told.some(({ why }) => why.includes("nothing so far"))], ["B-frames", true]);
  await pause(200);
  equal([world.peers.length, world.peers.some(({ open }) => open), told.at(-1).state], [7, false, "failed"]);
});

await test("a connection by WebRTC that was there is made again, and one that never came about has failed", async () => {
  const world = madeWorld([viewerAt(1), viewerAt(2)]);
  const { told, way } = madeWhepWay(world);
  way.start();
  await until("an answer", () => world.peers[0].remoteDescription);
  world.peers[0].become("connected");
  world.peers[0].become("failed");
  await until("a second try", () => world.peers[1]?.remoteDescription);
  equal([told.at(-1).state, told.some(({ state }) => state === "failed")], ["waiting", false]);
  way.stop();
  const shut = madeWorld([viewerAt(1)]);
  const other = madeWhepWay(shut);
  other.way.start();
  await until("an answer", () => shut.peers[0].remoteDescription);
  shut.peers[0].become("failed");
  await until("the end of it", () => other.told.at(-1).state === "failed");
  equal([other.told.at(-1).why, shut.peers.length], ["the connection was lost", 1]);
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

