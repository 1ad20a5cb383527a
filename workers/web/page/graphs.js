// Live graphs of the numbers in a ring of records, drawn by uPlot (vendor/README.md says which and whose).

import { el, setText } from "./dom.js";
import { Series } from "./series.js";

/** Shown at first. */
const LINES = 4;
const DRAW_MS = 250;
const HEIGHT = 190;
const HUES = [172, 212, 38, 330, 268, 96, 12, 190, 300, 60, 240, 130];

const loadPlot = async () => (await import("./uPlot.js")).default;

/** A line's colour, to be told apart on a light ground and a dark one. */
export const colour = (place, dark) => `hsl(${HUES[place % HUES.length]} ${dark ? "70% 66%" : "75% 36%"})`;

/** Times of day below a graph, in 24 hours. */
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const isDark = () => getComputedStyle(document.documentElement).getPropertyValue("color-scheme").trim() === "dark"
  || (document.documentElement.dataset.theme ?? "auto") === "auto" && matchMedia("(prefers-color-scheme: dark)").matches;

const short = (value) => (value === null ? "–" : Number.isInteger(value) ? String(value) : value.toPrecision(3));

export class Graph {
  #chosen = null; // names of lines, once somebody chose; until then the first ones
  #drawn = "";
  #timer = null;
  #plot = null;

  /** `span()` is how much is shown, in ms. `load` and `wall` are there for tests. */
  constructor(place, ring, { span = () => 60_000, load = loadPlot, wall = () => Date.now() } = {}) {
    Object.assign(this, { ring, span, load, wall });
    this.series = new Series();
    this.canvas = el("div", { class: "plot", role: "img" });
    this.lines = el("div", { class: "choice", role: "group", "aria-label": `Lines of ${ring}` });
    this.said = el("p", { class: "empty" }, "No numbers so far.");
    this.element = el("section", { class: "graph", "aria-label": `Graph of ${ring}` }, el("h3", {}, ring), this.lines, this.canvas, this.said);
    this.element.dataset.ring = ring;
    place.append(this.element);
    this.#timer = setInterval(() => this.draw(), DRAW_MS);
  }

  take(record) {
    this.series.add(record);
  }

  get names() {
    return this.#chosen ?? this.series.names.slice(0, LINES);
  }

  async draw() {
    if (document.hidden || this.series.size === 0 || !this.element.isConnected) return;
    this.said.hidden = true;
    this.#drawChoice();
    const { names } = this;
    const key = `${isDark()} ${names.join("|")}`;
    if (key !== this.#drawn) {
      this.#drawn = key;
      await this.#make(names);
    }
    if (!this.#plot) return;
    const [now, span] = [this.wall(), this.span()];
    const width = Math.max(200, this.canvas.clientWidth);
    if (this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
    this.#plot.setData(this.series.columns(names, now, span), false);
    this.#plot.setScale("x", { min: (now - span) / 1000, max: now / 1000 });
    const newest = names.map((name) => `${name} ${short(this.series.newest(name))}`).join(", ");
    this.canvas.setAttribute("aria-label", `${this.ring}: ${newest}`);
    this.element.dataset.points = String(this.series.size);
  }

  close() {
    clearInterval(this.#timer);
    this.#plot?.destroy();
    this.element.remove();
  }

  async #make(names) {
    const Plot = await this.load();
    this.#plot?.destroy();
    const dark = isDark();
    const soft = dark ? "#98a2ae" : "#5b6571";
    const grid = dark ? "#272d35" : "#dfe3e8";
    const axis = (more = {}) => ({ stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, ...more });
    const { names: all } = this.series;
    const line = (name) => ({ label: name, stroke: colour(all.indexOf(name), dark), width: 1.5, points: { show: false }, spanGaps: false });
    const options = {
      width: Math.max(200, this.canvas.clientWidth), height: HEIGHT, legend: { show: false }, cursor: { drag: { x: false, y: false } },
      scales: { x: { time: true, auto: false } }, axes: [axis({ space: 90, values: (_, times) => times.map(clock) }), axis({ size: 56 })], series: [{}, ...names.map(line)],
    };
    this.#plot = new Plot(options, this.series.columns(names, this.wall(), this.span()), this.canvas);
  }

  /** A button a line, with its colour and newest value. */
  #drawChoice() {
    const { names: all } = this.series;
    if (this.lines.children.length !== all.length) {
      this.lines.replaceChildren(...all.map((name) => {
        const button = el("button", { type: "button", class: "quiet chip-button line" }, el("i", { "aria-hidden": "true" }), el("span", {}, name), el("b", { class: "number" }));
        button.addEventListener("click", () => this.#toggle(name));
        return button;
      }));
    }
    const dark = isDark();
    const chosen = new Set(this.names);
    [...this.lines.children].forEach((button, place) => {
      const name = all[place];
      button.setAttribute("aria-pressed", String(chosen.has(name)));
      button.firstElementChild.style.background = colour(place, dark);
      setText(button.children[1], name);
      setText(button.lastElementChild, short(this.series.newest(name)));
    });
  }

  #toggle(name) {
    const chosen = new Set(this.names);
    if (!chosen.delete(name)) chosen.add(name);
    this.#chosen = [...chosen];
    this.draw();
  }
}
