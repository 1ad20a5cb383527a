// Puts the page of one camera together. What a part does is in its own file.

import { comment, record, restart } from "./actions.js";
import { getJson, here } from "./api.js";
import { Boxes } from "./boxes.js";
import { Chain } from "./chain.js";
import { confirmed } from "./confirm.js";
import { el, setData, setText } from "./dom.js";
import * as format from "./format.js";
import { Graph } from "./graphs.js";
import { Happenings } from "./happenings.js";
import { Hops, shownHop } from "./hops.js";
import { Links, linksOf } from "./links.js";
import { Player } from "./player.js";
import { repeat } from "./poll.js";
import { followAll, Lately } from "./records.js";
import { RemarkBox } from "./remarks.js";
import { seat } from "./seat.js";
import { header, Lists } from "./shell.js";
import { STALE_AFTER_MS } from "./tile.js";
import { Timeline } from "./timeline.js";
import { token } from "./token.js";
import { Ways } from "./ways.js";

const LISTS_MS = 1_000;
const RECORDED_MS = 10_000;
const HOUR_MS = 3_600_000;
const TICK_MS = 250;
/** Pictures whose latency is told. */
const TELLINGS = 100;

const at = (id) => document.getElementById(id);
const name = new URLSearchParams(location.search).get("name") ?? "";
const path = encodeURIComponent(name);
header(at("bar"), { title: name || "Camera", place: "Live" });
setText(at("camera-title"), name);

const lists = new Lists(at("notice"));
const chain = new Chain(at("chain"), restart);
const hops = new Hops(at("hops"));
const links = new Links(at("links"));
const happenings = new Happenings(at("happenings"));
const boxes = new Boxes(at("screen"));
const remark = new RemarkBox(at("remark"), (said) => comment(name, said));
const orders = el("div", { class: "controls", role: "group", "aria-label": "Recording", hidden: "" },
  confirmed("Record", `Record ${name} from now on`, () => record(name, "start")),
  confirmed("Stop recording", `Stop recording ${name}`, () => record(name, "stop")),
  confirmed("As the topology says", `Record ${name} as the topology says`, () => record(name, "auto")));
at("remark").prepend(orders);
const known = { row: null, workers: [], rings: [] };
const seen = { at: null, why: "", tellings: [] };

/* What is shown */

function shown(picture) {
  seen.at = performance.now() - picture.ageMs;
  // Of a picture that stays only its first telling is about its way here.
  if (picture.sequence !== seen.tellings.at(-1)?.sequence) seen.tellings = [...seen.tellings, picture].slice(-TELLINGS);
  shape(picture);
  setText(at("frame"), `${picture.ring} ${picture.epoch}:${picture.sequence}`);
  setData(at("frame"), "sequence", String(picture.sequence));
  boxes.show(picture);
}

/** A picture that nobody knows the name of: no box is about it, and its way here was not measured. */
function unnamed({ ageMs, ...size }) {
  const age = ageMs ?? known.row?.age_ms ?? null;
  if (age !== null) seen.at = performance.now() - age;
  seen.tellings = [];
  shape(size);
  setText(at("frame"), "");
  setData(at("frame"), "sequence", "");
  boxes.clear();
}

function shape({ width, height }) {
  if (width > 0) at("player").style.setProperty("--shape", `${width} / ${height}`);
}

const live = new Player(name);
const ways = new Ways(at("ways"), live);
const player = seat(live, at("screen"), { ring: () => known.row?.packets ?? "", shown, unnamed, why: (text) => { seen.why = text; } });
at("show-boxes").addEventListener("change", (event) => { boxes.on = event.target.checked; });
at("large").hidden = !document.fullscreenEnabled;
at("large").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : at("player").requestFullscreen()));

/** As a tile judges: by what is on the screen. */
function tick() {
  const age = seen.at === null ? null : performance.now() - seen.at;
  const state = age === null ? "waiting" : age > STALE_AFTER_MS ? "stale" : "live";
  const why = known.row?.why || seen.why;
  setData(at("player"), "state", state);
  setText(at("why"), state === "live" ? "" : state === "stale" ? `No frame for ${format.span(age / 1000)}${why ? `: ${why}` : ""}` : why || "Waiting for the first picture");
  setText(at("transport"), player.transport);
  setText(at("badge"), state);
  setData(at("badge"), "tone", { live: "good", stale: "bad", waiting: "warn" }[state]);
  setText(at("figures"), [format.fps(known.row?.fps), known.row?.width > 0 && `${known.row.width} × ${known.row.height}`, format.age(age)].filter(Boolean).join(" · "));
}

/* Lists */

function draw() {
  const may = token.held !== "";
  chain.update(name, known.rings, known.workers, may);
  remark.may = may;
  orders.hidden = !may;
  if (known.row) links.update(linksOf(known.row, known.workers));
}

function choose(rows) {
  const select = at("cameras");
  const names = rows.map((row) => row.name);
  if ([...select.options].map(({ value }) => value).join() === names.join()) return;
  select.replaceChildren(...names.map((one) => el("option", { value: one }, one)));
  select.value = name;
}

at("cameras").addEventListener("change", (event) => { location.href = here(`/camera?name=${encodeURIComponent(event.target.value)}${ways.kept}`); });
token.addEventListener("change", draw);
lists.follow(LISTS_MS, () => "/api/v1/cameras", (rows) => {
  choose(rows);
  known.row = rows.find((row) => row.name === name) ?? null;
  if (!known.row) seen.why = `No camera is called “${name}”.`;
  draw();
});
lists.follow(LISTS_MS, () => "/api/v1/workers", (rows) => { known.workers = rows; });
lists.follow(LISTS_MS, () => "/api/v1/rings", (rows) => { known.rings = rows; });
lists.follow(LISTS_MS, () => known.row && `/api/v1/latency/${path}`, ({ hops: measured }) => {
  hops.update([...measured, shownHop(seen.tellings)].filter(Boolean));
});

/* Records: graphs and boxes */

const graphs = new Map();
const lately = new Lately();

function take(ring, record) {
  if (record.camera && record.camera !== name) return;
  boxes.book.add(ring, record);
  lately.add(ring, record);
  if (!graphs.has(ring)) {
    graphs.set(ring, new Graph(at("graphs"), ring, { span: () => Number(at("span").value) }));
    at("graphs-section").hidden = false;
  }
  graphs.get(ring).take(record);
}

followAll(take);

/* What was recorded */

const timeline = new Timeline(at("recorded"), (ms) => { location.href = here(`/recordings?camera=${path}&at=${Math.round(ms)}`); }, { label: "Play the recording from" });
at("recorded-link").href = here(`/recordings?camera=${path}`);

repeat(RECORDED_MS, async () => {
  const to = Date.now();
  try {
    const list = await getJson(`/api/v1/recordings?from=${new Date(to - HOUR_MS).toISOString()}&to=${new Date(to).toISOString()}`);
    const own = list.cameras.filter(({ camera }) => camera === name);
    at("recorded-section").hidden = own.length === 0;
    timeline.update(own, to - HOUR_MS, to, lately.records);
  } catch {
    at("recorded-section").hidden = true; // nothing is recorded, or nobody answers: the other lists say so
  }
});

repeat(TICK_MS, async () => tick());
repeat(LISTS_MS, async () => happenings.update(lately.records));
draw();

// For the console, and for who tests the page.
window.framevisor = {
  shown: () => seen.tellings.at(-1) ?? null,
  points: () => Object.fromEntries([...graphs].map(([ring, graph]) => [ring, graph.series.size])),
};
