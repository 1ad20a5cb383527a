// Puts the parts of the page of recordings together. What a part does is in its own file.

import { getJson, here, Refused } from "./api.js";
import { BoxBook } from "./boxes.js";
import { el, setText } from "./dom.js";
import { repeat } from "./poll.js";
import { followAll, Lately } from "./records.js";
import { Room } from "./room.js";
import { header } from "./shell.js";
import { remark, Timeline } from "./timeline.js";

const LIST_MS = 5_000;
const TELL_MS = 250;
/** Played at once; more are chosen one by one. */
const SCREENS_MAX = 16;
const MS = 1e6;
/** The newest that can be played without waiting. */
const NEWEST_MS = 10_000;

const at = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const book = new BoxBook();
const lately = new Lately();
const room = new Room(at("room"), { book });
const timeline = new Timeline(at("timeline"), (ms) => room.seek(ms));
const chosen = new Set();
const view = { span: 3_600_000, to: null }; // ms; without `to` it ends now
let list = null;
let cut = { from: null, to: null };

/** Time of day of a moment in ms, here or in UTC. */
function words(ms) {
  const time = new Date(at("utc").checked ? ms : ms - new Date(ms).getTimezoneOffset() * 60_000);
  return time.toISOString().replace("T", " ").replace("Z", at("utc").checked ? " UTC" : "");
}

const ends = (cameras) => {
  const all = cameras.filter((camera) => camera.from_utc_ns !== null);
  if (all.length === 0) return null;
  return {
    first: Math.min(...all.map((camera) => camera.from_utc_ns / MS)),
    // What is recorded at this moment is listed two seconds later.
    last: Math.max(...all.map((camera) => (camera.recording ? Date.now() : camera.to_utc_ns / MS))),
  };
};

const selected = () => list.cameras.filter((camera) => chosen.has(camera.camera));
const window_ = () => {
  const to = view.to ?? Date.now();
  return { from: to - view.span, to };
};

async function load() {
  const { from, to } = window_();
  const iso = (ms) => new Date(ms).toISOString();
  list = await getJson(`/api/v1/recordings?from=${iso(from)}&to=${iso(to)}`);
}

/** Chooses what the address of the page names, else all cameras as far as they fit. */
function choose() {
  const names = list.cameras.map((camera) => camera.camera);
  const wanted = asked.getAll("camera").concat(list.groups[asked.get("group")] ?? []);
  const first = wanted.length > 0 ? wanted : names.slice(0, 4);
  for (const name of first.filter((one) => names.includes(one)).slice(0, SCREENS_MAX)) chosen.add(name);
}

function chip(text, on, pressed) {
  const button = el("button", { type: "button", class: "quiet chip-button", "aria-pressed": String(on) }, text);
  button.addEventListener("click", pressed);
  return button;
}

function drawChoice() {
  const groups = Object.entries(list.groups).map(([name, cameras]) => {
    const on = cameras.length > 0 && cameras.length === chosen.size && cameras.every((camera) => chosen.has(camera));
    return chip(`${name} (${cameras.length})`, on, () => {
      chosen.clear();
      for (const camera of cameras.slice(0, SCREENS_MAX)) chosen.add(camera);
      show();
    });
  });
  const cameras = list.cameras.map(({ camera }) => chip(camera, chosen.has(camera), () => {
    if (!chosen.delete(camera) && chosen.size < SCREENS_MAX) chosen.add(camera);
    show();
  }));
  at("groups").replaceChildren(...groups);
  at("cameras").replaceChildren(...cameras);
}

/** Draws what was listed and what is chosen; the moment stays. */
function show() {
  drawChoice();
  const bounds = ends(selected()) ?? { first: 0, last: 0 };
  const fresh = room.clock.last === 0;
  const begin = Number(asked.get("at")) || Math.max(bounds.first, bounds.last - NEWEST_MS);
  room.show([...chosen], fresh ? begin : room.clock.now, bounds.first, bounds.last);
  if (fresh && room.clock.now < window_().from) view.to = room.clock.now + view.span / 2;
  drawTimeline();
}

function drawTimeline() {
  const { from, to } = window_();
  timeline.update(selected(), from, to, lately.records);
  const notes = selected().flatMap((camera) => camera.comments.map((comment) => ({ camera: camera.camera, comment })));
  notes.sort((one, other) => one.comment.utc_ns - other.comment.utc_ns);
  at("notes").replaceChildren(...notes.slice(-100).map(({ camera, comment }) => {
    const ms = comment.utc_ns / MS;
    const go = el("button", { type: "button", class: "quiet" }, words(ms));
    go.addEventListener("click", () => room.seek(ms));
    return el("li", {}, go, ` ${camera} `, el("span", {}, remark(comment)));
  }));
  at("notes-section").hidden = notes.length === 0;
}

function drawCuts() {
  const whole = cut.from !== null && cut.to !== null && cut.from < cut.to;
  setText(at("cut-range"), whole ? `${words(cut.from)} to ${words(cut.to)}` : "Mark where it begins and where it ends.");
  const iso = (ms) => new Date(ms).toISOString();
  at("cuts").replaceChildren(...(whole ? [...chosen] : []).map((camera) =>
    el("a", { class: "quiet", href: here(`/recordings/${camera}/cut.mp4?from=${iso(cut.from)}&to=${iso(cut.to)}`), download: "" }, `Download ${camera}`)));
}

function draw() {
  const { clock } = room;
  setText(at("play"), clock.playing ? "Pause" : "Play");
  setText(at("time"), clock.last > 0 ? words(clock.now) : "");
  timeline.head(clock.now, words(clock.now));
}

/** The timeline follows the moment when it leaves it while playing. */
function follow() {
  const { from, to } = window_();
  const { now, playing } = room.clock;
  if (playing && now > to && view.to !== null) view.to = now + view.span / 2;
  else if (playing && now < from) view.to = now + view.span / 2;
}

function loop(real) {
  room.step(real);
  draw();
  requestAnimationFrame(loop);
}

const actions = {
  play: () => (room.clock.playing ? room.clock.pause() : room.clock.play()),
  "back-10": () => room.seek(room.clock.now - 10_000),
  "back-1": () => room.seek(room.clock.now - 1_000),
  "frame-back": () => room.frame(-1),
  "frame-on": () => room.frame(1),
  "on-1": () => room.seek(room.clock.now + 1_000),
  "on-10": () => room.seek(room.clock.now + 10_000),
  newest: () => { view.to = null; room.seek(room.clock.last - NEWEST_MS); refresh(); },
  earlier: () => { view.to = window_().to - view.span / 2; refresh(); },
  later: () => {
    const to = window_().to + view.span / 2;
    view.to = to < Date.now() ? to : null;
    refresh();
  },
  "cut-from": () => { cut = { ...cut, from: room.clock.now }; drawCuts(); },
  "cut-to": () => { cut = { ...cut, to: room.clock.now }; drawCuts(); },
};
const KEYS = {
  " ": "play", ArrowLeft: "back-1", ArrowRight: "on-1", PageDown: "back-10", PageUp: "on-10",
  ",": "frame-back", ".": "frame-on", i: "cut-from", o: "cut-to", End: "newest",
};

async function refresh() {
  try {
    await load();
    const none = list.cameras.length === 0;
    at("empty").hidden = !none;
    at("whole").hidden = none;
    setText(at("empty"), none ? "Nothing is recorded yet. The first pictures come here a second after a recorder has begun." : "");
    if (!none && chosen.size === 0 && room.clock.last === 0) {
      choose();
      show();
    } else if (!none) {
      const bounds = ends(selected());
      if (bounds) room.grow(bounds.first, bounds.last);
      follow();
      drawTimeline();
    }
    at("notice").hidden = true;
  } catch (error) {
    const refused = error instanceof Refused;
    setText(at("notice"), refused ? `${error.message}. ${error.hint}` : "The web worker does not answer; trying again.");
    at("notice").hidden = false;
  }
}

header(at("bar"), { title: "Recordings", place: "Recordings" });
for (const [name, action] of Object.entries(actions)) at(name).addEventListener("click", action);
at("rate").addEventListener("change", () => { room.clock.rate = Number(at("rate").value); });
at("span").addEventListener("change", () => {
  view.span = Number(at("span").value) * 1_000;
  if (view.to !== null) view.to = room.clock.now + view.span / 2;
  refresh();
});
at("utc").addEventListener("change", () => { drawTimeline(); drawCuts(); });
document.addEventListener("keydown", (event) => {
  if (event.target.matches("select, button, a") && (event.key === " " || event.key.length > 1)) return;
  // Who writes, into the box of the token, writes.
  if (event.target.matches("input:not([type=checkbox])")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS || event.key === "Home")) return;
  event.preventDefault();
  // As at every slider, the begin of what there is.
  if (event.key === "Home") room.seek(room.clock.first);
  else actions[KEYS[event.key]]();
});
followAll((ring, record) => {
  book.add(ring, record);
  lately.add(ring, record);
});
repeat(LIST_MS, refresh);
repeat(TELL_MS, () => room.tell());
requestAnimationFrame(loop);

// For the console, and for who tests the page.
window.framevisor = {
  play: () => room.clock.play(),
  pause: () => room.clock.pause(),
  seek: (ms) => room.seek(ms),
  frame: (direction) => room.frame(direction),
  now: () => room.clock.now,
  state: () => room.screens.map(({ camera, follower, frame, video }) => ({
    name: camera, shown: follower.shown, drift: follower.drift, why: follower.why, sequence: Number(frame.dataset.sequence ?? 0),
    ready: follower.ready(room.clock.now), state: video.readyState,
  })),
};
