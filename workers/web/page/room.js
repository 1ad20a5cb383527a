// Several cameras played on one clock, a stretch of time around the moment that is shown.

import { el } from "./dom.js";
import { Screen } from "./screen.js";
import { Conductor } from "./sync.js";

/** Half of what is loaded at once, and how near to its end the next stretch is loaded, in ms. */
const HALF_MS = 30 * 60_000;
const NEAR_MS = 60_000;
/** Loaded anew after so long: what grows without end would not be served as one film. */
const LONG_MS = 4 * 3_600_000;

export class Room {
  #from = 0;
  #to = 0;
  #screens = [];

  /** `screen(camera, from, to)` is there for tests. */
  constructor(element, { book, screen = (camera, from, to) => new Screen(camera, from, to, { book }), wall = () => Date.now() } = {}) {
    this.element = element;
    this.make = screen;
    this.wall = wall;
    this.cameras = [];
    this.clock = new Conductor(0, 0, 0);
  }

  get screens() {
    return this.#screens;
  }

  /** Shows these cameras at a moment; all that is recorded of them lies between `first` and `last`, in ms. */
  show(cameras, now, first, last) {
    [this.clock.first, this.clock.last] = [first, last];
    this.clock.now = Math.max(first, Math.min(last, now));
    const same = cameras.join() === this.cameras.join();
    this.cameras = cameras;
    if (!same || !this.#holds(this.clock.now)) this.#load();
  }

  /** More was recorded. */
  grow(first, last) {
    [this.clock.first, this.clock.last] = [first, last];
  }

  seek(now) {
    this.clock.seek(now);
    for (const screen of this.#screens) screen.untell();
    if (!this.#holds(this.clock.now)) this.#load();
  }

  step(real) {
    this.clock.step(real);
    const { now, playing } = this.clock;
    const end = this.#to ?? this.#from + LONG_MS;
    if (playing && now > end - NEAR_MS && end < this.clock.last) this.#load();
    for (const screen of this.#screens) {
      screen.draw();
      screen.mark(now);
      if (playing) screen.untell();
    }
  }

  /** Shows the next picture of the first camera that has one, or the one before. */
  async frame(direction) {
    this.clock.pause();
    const screen = this.#screens.find((one) => !one.follower.why);
    const found = await screen?.pictures(this.clock.now);
    if (!found) return;
    const { at_s: begin, lasts_s: lasts } = found.all[found.index];
    const at = found.all[found.index + direction];
    // Beyond the segment by half a picture: that one has its own list.
    const place = at ? at.at_s + at.lasts_s / 2 : begin + (direction > 0 ? 1.5 : -0.5) * lasts;
    const utc = screen.film.utc(place);
    if (utc !== null) this.seek(utc);
  }

  tell() {
    if (this.clock.playing) return Promise.resolve();
    return Promise.all(this.#screens.map((screen) => screen.tell(this.clock.now)));
  }

  close() {
    for (const screen of this.#screens) screen.close();
    this.#screens = [];
  }

  #holds(now) {
    return this.#from <= now && (this.#to === null || now < this.#to);
  }

  #load() {
    this.close();
    const { now } = this.clock;
    this.#from = now - HALF_MS;
    // What is still to come grows into the film.
    this.#to = now + HALF_MS < this.wall() ? now + HALF_MS : null;
    this.#screens = this.cameras.map((camera) => this.make(camera, this.#from, this.#to));
    this.clock.followers = this.#screens.map((screen) => screen.follower);
    this.element.replaceChildren(...this.#screens.map((screen) => screen.element));
    this.element.dataset.count = String(this.#screens.length);
    if (this.#screens.length === 0) this.element.append(el("p", { class: "empty" }, "Choose a camera above."));
  }
}
