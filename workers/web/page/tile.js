// One camera: its picture, name, rate, age of the last frame, and whether it is alive.
//
// The tile judges staleness from the pictures it shows, because that is what the viewer sees; the
// server's row adds the reason, and speaks alone for a camera without pictures.

import { getPicture, Refused } from "./api.js";
import { el, setData, setText } from "./dom.js";
import * as format from "./format.js";
import { Loop } from "./poll.js";

/** A last frame older than this is stale. */
export const STALE_AFTER_MS = 2_000;
/** Pause after a refusal or a failure. */
const RETRY_MS = 1_000;

const WORDS = { live: "live", stale: "stale", waiting: "waiting" };
/** Of a live picture that shows nothing; what the server has no word for is no fault. */
const FAULTS = { frozen: "frozen", black: "black", blank: "blank", rate: "wrong rate" };

export class Tile {
  /** `interval()` gives the wanted ms between pictures; `get` and `now` are there for tests. */
  constructor(name, interval, { get = getPicture, now = () => performance.now() } = {}) {
    this.name = name;
    this.interval = interval;
    this.get = get;
    this.now = now;
    this.row = null;
    this.shown = null; // {etag, at: now() when the shown frame arrived at the server}
    this.trouble = "";
    this.url = null;
    this.#build();
    this.loop = new Loop(() => this.#step());
  }

  #build() {
    this.picture = el("img", { alt: `${this.name}: newest picture`, decoding: "async", hidden: "" });
    this.why = el("p", { class: "why" });
    this.badge = el("span", { class: "badge" });
    this.fps = el("span", { class: "number fps", title: "frames a second" });
    this.age = el("span", { class: "number age", title: "age of the last frame" });
    this.enlarge = el("button", { type: "button", class: "quiet enlarge", "aria-pressed": "false", "aria-label": `Enlarge ${this.name}` }, "⤢");
    this.enlarge.addEventListener("click", () => this.#toggleSize());
    this.element = el("article", { class: "tile", "aria-label": `Camera ${this.name}` },
      el("div", { class: "screen" }, this.picture, this.why),
      el("div", { class: "caption" },
        el("h3", { title: this.name }, this.name), this.badge,
        el("span", { class: "spring" }), this.fps, this.age, this.enlarge));
    this.element.dataset.camera = this.name;
  }

  #toggleSize() {
    const large = this.element.classList.toggle("large");
    this.enlarge.setAttribute("aria-pressed", String(large));
    if (large) this.element.scrollIntoView({ block: "nearest" });
  }

  /** Whether pictures are fetched: the tile is in view. */
  set watching(on) {
    this.loop.on = on && this.row?.snapshot !== null;
  }

  /** Takes the server's row of this camera. */
  update(row) {
    this.row = row;
    if (row.width && row.height) this.element.style.setProperty("--shape", `${row.width} / ${row.height}`);
    setText(this.fps, format.fps(row.fps));
    this.tick();
  }

  /** Shows what time has done: called twice a second. */
  tick() {
    const ageMs = this.#ageMs();
    const state = this.#state(ageMs);
    setData(this.element, "state", state);
    const fault = state === "live" ? FAULTS[this.row?.health] : undefined;
    setText(this.badge, fault ?? WORDS[state]);
    setData(this.badge, "tone", fault ? "warn" : "");
    setText(this.age, format.age(ageMs));
    setText(this.why, state === "live" ? "" : this.#reason(state, ageMs));
    this.why.title = this.why.textContent; // the whole of it when the tile cuts it
  }

  /** Stops fetching and lets the picture go. */
  remove() {
    this.loop.on = false;
    if (this.url) URL.revokeObjectURL(this.url);
  }

  /** Age of the last frame: of the shown picture while fetching, else what the server says. */
  #ageMs() {
    if (this.shown && this.loop.on) return this.now() - this.shown.at;
    return this.row?.age_ms ?? null;
  }

  #state(ageMs) {
    if (ageMs === null || (this.loop.on && !this.shown)) return "waiting";
    return ageMs > STALE_AFTER_MS ? "stale" : "live";
  }

  #reason(state, ageMs) {
    const why = this.row?.why || this.trouble;
    if (state === "stale") return `No frame for ${format.span(ageMs / 1000)}${why ? `: ${why}` : ""}`;
    return why || "Waiting for the first picture";
  }

  async #step() {
    const began = this.now();
    try {
      const answer = await this.get(`/snap/${this.name}.jpg`, this.shown?.etag);
      this.trouble = "";
      if (answer.blob) await this.#show(answer.blob);
      this.shown = { etag: answer.etag, at: this.now() - answer.ageMs };
      setData(this.picture, "epoch", answer.epoch ?? "");
      setData(this.picture, "sequence", answer.sequence ?? "");
      this.tick();
    } catch (error) {
      this.trouble = error instanceof Refused ? error.message : "the web worker does not answer";
      this.tick();
      return RETRY_MS;
    }
    return Math.max(0, this.interval() - (this.now() - began));
  }

  async #show(blob) {
    const [url, old] = [URL.createObjectURL(blob), this.url];
    this.url = url;
    this.picture.src = url;
    await this.picture.decode().catch(() => {});
    this.picture.hidden = false;
    if (old) URL.revokeObjectURL(old);
  }
}
