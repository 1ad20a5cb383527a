// The components that show figures over time, logs and events, each alone, with made-up data.

import { Graph, colour } from "/assets/graphs.js";
import { figures, Happenings } from "/assets/happenings.js";
import { Logs, tone } from "/assets/logs.js";
import { numbers, Series, subject } from "/assets/series.js";
import { path, Spark, told } from "/assets/spark.js";
import { ringsTable, workersTable } from "/assets/tables.js";
import { marks } from "/assets/timeline.js";
import { equal, stage, test, until } from "./harness.js";

const HOSTILE = "<img src=x onerror=alert(1)>";
const record = (s, data, more = {}) => ({ id: "1", type: "motion.update", camera: "a", frame: null, time_utc_ns: s * 1e9, data, ...more });

await test("the numbers of a record are its lines, lists are as long as they are", () => {
  equal(numbers({ score: 0.5, boxes: [1, 2], on: true, text: "7", size: { w: 3, far: { down: { here: 1 } } }, width: 640, none: null }),
    { score: 0.5, "boxes (count)": 2, on: 1, "size.w": 3 });
  equal([numbers(null), subject("motion.begin"), subject("door.opened")], [{}, "motion", "door.opened"]);
});

await test("lines come in order of time, break where nothing was said, and are bounded", () => {
  const series = new Series({ max: 4 });
  equal(series.add(record(1, { text: "x" })), false);
  for (const [s, score] of [[1, 0.1], [3, 0.3], [2, 0.2], [20, 2]]) series.add(record(s, { score }));
  equal(series.columns(series.names, 21_000, 30_000), [[1, 2, 3, 3.001, 20], [0.1, 0.2, 0.3, null, 2]]);
  series.add(record(21, { score: 3, peak: 9 }));
  equal([series.size, series.names, series.newest("motion score"), series.newest("motion peak"), series.newest("x")], [4, ["motion score", "motion peak"], 3, 9, null]);
  equal(series.columns(["motion score"], 21_000, 500), [[21], [3]]);
});

/** What a graph needs of uPlot. */
class Plot {
  static made = [];

  constructor(options, data, place) {
    Object.assign(this, { options, data, place, width: options.width, destroyed: false });
    Plot.made.push(this);
  }

  setData(data) {
    this.data = data;
  }

  setScale(_, scale) {
    this.scale = scale;
  }

  setSize({ width }) {
    this.width = width;
  }

  destroy() {
    this.destroyed = true;
  }
}

await test("a graph moves with time and shows the lines that are chosen", async () => {
  let now = 10_000;
  const graph = new Graph(stage, "motion.events", { span: () => 10_000, load: async () => Plot, wall: () => now });
  equal(graph.element.querySelector(".empty").hidden, false);
  graph.take(record(8, { score: 0.25, peak: 0.5 }));
  await graph.draw();
  const [plot] = Plot.made;
  equal([plot.options.series.length, plot.data, plot.scale], [3, [[8], [0.5], [0.25]], { min: 0, max: 10 }]);
  [now] = [12_000];
  graph.take(record(11, { score: 0.75, peak: 0.5 }));
  await graph.draw();
  equal([plot.data[0], plot.scale.max, graph.canvas.getAttribute("aria-label")], [[8, 11], 12, "motion.events: motion peak 0.500, motion score 0.750"]);
  const [button] = graph.lines.children;
  equal([button.textContent, button.getAttribute("aria-pressed")], ["motion peak0.500", "true"]);
  button.click();
  await until("one line", () => Plot.made.length === 2 && plot.destroyed);
  equal(Plot.made[1].options.series.map(({ label }) => label), [undefined, "motion score"]);
  graph.close();
  equal([Plot.made[1].destroyed, stage.children.length], [true, 0]);
});

await test("a graph is really drawn by the plotting library", async () => {
  const graph = new Graph(stage, "motion.events", { wall: () => 10_000 });
  for (let s = 1; s < 10; s += 1) graph.take(record(s, { score: s / 10 }));
  await until("a canvas", () => stage.querySelector("canvas"));
  const canvas = stage.querySelector("canvas");
  const painted = () => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
  await until("a line", painted);
  graph.close();
});

await test("colours of lines differ, in the light and in the dark", () => {
  const all = Array.from({ length: 12 }, (_, place) => [colour(place, false), colour(place, true)]).flat();
  equal(new Set(all).size, 24);
});

await test("a spark is a line from the left to the right with holes, and a sentence", () => {
  equal(path([0, 10, null, 5], { width: 30, height: 22 }), "M0.0 21.0L10.0 1.0M30.0 11.0");
  equal([path([]), path([null, null])], ["", ""]);
  equal(told([null, 1, 250, 25], "/s"), "25.0/s now, 1.0 to 250 before");
  const spark = new Spark("/s");
  spark.update([1, 2]);
  equal([spark.element.getAttribute("aria-label"), new Spark().element.getAttribute("aria-label")], ["2.0/s now, 1.0 to 2.0 before", "no figures yet"]);
});

await test("tables have sparklines of rings and readers, and buttons with a token only", () => {
  const [rings, workers] = [document.createElement("div"), document.createElement("div")];
  stage.append(rings, workers);
  const ring = (more) => ({ name: "a.frames", live: true, head: 5, epoch: 3, bytes: 1024, readers: [{ name: "motion", lag: 2, missed: 0, pid: 4 }], ...more });
  const table = ringsTable(rings);
  table.update([ring({ rates: [25, 20], lags: { motion: [0, 9] } })], "");
  const reader = rings.querySelector(".reader");
  equal([rings.querySelectorAll(".spark").length, reader.querySelector(".spark").classList.contains("off")], [2, false]);
  table.update([ring({ rates: [25, 21], lags: { motion: [0, 1] } })], "");
  equal([rings.querySelector(".reader") === reader, reader.querySelector(".spark").classList.contains("off")], [true, true]);
  const worker = { name: "a", kind: "ingest", state: "running", why: "", last_exit: "", restarts: 0, pid: 3, uptime_s: 5, gives: [1] };
  const crew = workersTable(workers, async () => {});
  crew.update([worker], "");
  equal(workers.querySelectorAll("button").length, 0);
  crew.update([{ ...worker, may: true }], "");
  equal([...workers.querySelectorAll("button")].map((button) => button.getAttribute("aria-label")), ["Restart a"]);
  crew.update([worker], "");
  equal(workers.querySelectorAll("button").length, 0);
});

await test("logs are text, coloured by their level, and filtered", () => {
  const list = document.createElement("ol");
  stage.append(list);
  const logs = new Logs(list);
  logs.update([]);
  equal(list.textContent, "It printed nothing so far.");
  const line = (text, ns = 1e18) => ({ worker: "a", time_utc_ns: ns, stream: "stderr", text });
  logs.update([line(`ERROR ${HOSTILE}`), line("INFO same"), line("INFO same"), line("WARN late", 2e18)]);
  equal([...list.children].map(({ dataset }) => dataset.tone), ["bad", "calm", "calm", "warn"]);
  equal([list.querySelectorAll("img").length, list.textContent.includes(HOSTILE)], [0, true]);
  logs.filter = "LATE";
  equal(list.children.length, 1);
  logs.filter = "nowhere";
  equal(list.textContent, "No line has that in it.");
  equal(["thread panicked at", "no errors", "error: x", "warning: y"].map(tone), ["bad", "calm", "bad", "warn"]);
});

await test("what happened is one line a thing, with its numbers and its recording", () => {
  const list = document.createElement("ol");
  stage.append(list);
  const happenings = new Happenings(list);
  happenings.update([]);
  equal(list.textContent, "Nothing happened so far.");
  const told_ = (s, type, data) => ({ ...record(s, data, { type, camera: HOSTILE }), ring: "m.events" });
  happenings.update([told_(20, "motion.end", { peak: 0.1234, duration_ms: 9000 }), told_(11, "motion.begin", {})], 60_000);
  equal([list.children.length, list.querySelectorAll("img").length], [1, 0]);
  equal(list.querySelector(".soft").textContent, "9 s · peak 0.123, duration_ms 9000");
  equal(new URL(list.querySelectorAll("a")[1].href).searchParams.get("at"), "9000");
  equal(figures({ a: 1, b: 2, c: 3, d: 4, e: 5 }), "a 1, b 2, c 3, d 4");
});

await test("events are marks of their own camera on the timeline", () => {
  const camera = { camera: "a", ranges: [], gaps: [], comments: [] };
  const told_ = (s, type, name = "a") => ({ ...record(s, {}, { type, camera: name }), ring: "m.events" });
  const records = [told_(50, "motion.end"), told_(40, "motion.begin"), { ...told_(60, "x.begin", "b"), id: "2" }];
  equal(marks(camera, 0, 100_000, records).map(({ kind, left, width, title }) => [kind, left, width, title]), [["event", 40, 10, "motion"]]);
});
