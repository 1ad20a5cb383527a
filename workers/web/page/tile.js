// One camera: its picture, name, rate, age of the last frame, and whether it is alive.
//
// The tile judges staleness from the pictures it shows, because that is what the viewer sees; the
// server's row adds the reason, and speaks alone for a camera without pictures.

import { getPicture, here, Refused } from "./api.js";
import { el, setData, setText } from "./dom.js";
import * as format from "./format.js";
import { Player, TRANSPORTS } from "./player.js";
import { Loop } from "./poll.js";

/** A last frame older than this is stale. */
export const STALE_AFTER_MS = 2_000;
/** Pause after a refusal or a failure. */
const RETRY_MS = 1_000;

const WORDS = { live: "live", stale: "stale", waiting: "waiting" };
/** Of a live picture that shows nothing; what the server has no word for is no fault. */
const FAULTS = { frozen: "frozen", black: "black", blank: "blank", rate: "wrong rate" };

/**
 * Live video of a tile. An endless image holds one of the six connections that a browser has to a server, and a grid of them
 * would leave none for anything else: where there is no other way, a tile fetches its pictures one by one.
 */
const playIn = (camera) => new Player(camera, { transports: TRANSPORTS.filter(({ name }) => name !== "mjpeg") });

export class Tile {
  /**
   * `interval()` gives the wanted ms between pictures, `mayPlay()` whether there is room for live video; `get`, `now` and
   * `play` are there for tests.
   */
  constructor(name, interval, { get = getPicture, now = () => performance.now(), play = playIn, mayPlay = () => true } = {}) {
    Object.assign(this, { name, interval, get, now, play, mayPlay });
    this.player = null; // of a camera with live video; pictures are fetched while it has none
    this.watched = false;
    this.row = null;
    this.shown = null; // {etag, at: now() when the shown frame arrived at the server}
    this.playedAt = null; // when the newest picture of the video was shown
    this.trouble = "";
    this.url = null;
    this.#build();
    this.loop = new Loop(() => this.#step());
  }

  #build() {
    this.picture = el("img", { alt: `${this.name}: newest picture`, decoding: "async", hidden: "" });
    this.why = el("p", { class: "why" });
    this.badge = el("span", { class: "badge" });
    this.way = el("span", { class: "number way", title: "how the picture comes" });
    this.fps = el("span", { class: "number fps", title: "frames a second" });
    this.age = el("span", { class: "number age", title: "age of the last frame" });
    this.enlarge = el("button", { type: "button", class: "quiet enlarge", "aria-pressed": "false", "aria-label": `Enlarge ${this.name}` }, "⤢");
    this.enlarge.addEventListener("click", () => this.#toggleSize());
    this.screen = el("div", { class: "screen" }, this.picture, this.why);
    this.element = el("article", { class: "tile", "aria-label": `Camera ${this.name}` },
      this.screen,
      el("div", { class: "caption" },
        el("h3", { title: this.name }, el("a", { href: here(`/camera?name=${encodeURIComponent(this.name)}`) }, this.name)), this.badge,
        el("span", { class: "spring" }), this.way, this.fps, this.age, this.enlarge));
    this.element.dataset.camera = this.name;
  }

  #toggleSize() {
    const large = this.element.classList.toggle("large");
    this.enlarge.setAttribute("aria-pressed", String(large));
    if (large) this.element.scrollIntoView({ block: "nearest" });
  }

  /** Whether pictures are fetched: the tile is in view. */
  set watching(on) {
    this.watched = on;
    this.#drive();
  }

  /** Live video where there is some and room for it, pictures one by one while it shows nothing. */
  #drive() {
    if (this.row?.live && !this.player) {
      this.player = this.play(this.name);
      this.screen.prepend(this.player.element);
    }
    if (this.player) this.player.on = this.watched && this.mayPlay();
    const plays = this.player?.state === "playing";
    if (plays && this.player.ageMs !== null) this.playedAt = this.now() - this.player.ageMs;
    setData(this.element, "plays", String(plays));
    setText(this.way, plays ? this.player.title : "");
    this.loop.on = this.watched && this.row?.snapshot !== null && !plays;
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
    this.#drive();
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
    if (this.player) this.player.on = false;
    if (this.url) URL.revokeObjectURL(this.url);
  }

  /** Age of the last frame: of the shown picture while fetching, else what the server says. */
  #ageMs() {
    // An endless image does not tell of each picture: the server knows.
    if (this.player?.state === "playing") return this.player.ageMs ?? this.row?.age_ms ?? null;
    const seenAt = this.#seenAt();
    if (seenAt !== null && this.loop.on) return this.now() - seenAt;
    return this.row?.age_ms ?? null;
  }

  /** When the newest picture came that was seen here, by whatever way; null while there was none. */
  #seenAt() {
    const times = [this.shown?.at, this.playedAt].filter(Number.isFinite);
    return times.length > 0 ? Math.max(...times) : null;
  }

  #state(ageMs) {
    if (ageMs === null || (this.loop.on && this.#seenAt() === null)) return "waiting";
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
