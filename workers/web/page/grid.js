// The grid of cameras: right with none, one, sixteen and two hundred. Pictures are fetched only for
// tiles in view, and all tiles together stay within a budget.

import { setText, sync } from "./dom.js";
import { Tile } from "./tile.js";

/** Pictures a second of the whole page, and the fastest a single tile goes. */
const BUDGET_PER_S = 40;
const INTERVAL_MIN_MS = 200;
/** More videos at once than this are pictures one by one: decoders of browsers and machines have an end. */
const PLAYED_MAX = 16;

export class Grid {
  #tiles = new Map();
  #rows = [];
  #wanted = "";

  /** `options` go to each tile. */
  constructor(element, empty, options = {}) {
    this.element = element;
    this.empty = empty;
    this.options = options;
    this.inView = new Set();
    this.observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "100px" });
  }

  /** Takes the server's list of cameras. */
  update(rows) {
    this.#rows = rows;
    this.#draw();
  }

  /** Shows only cameras whose name contains `text`. */
  set filter(text) {
    this.#wanted = text.trim().toLowerCase();
    this.#draw();
  }

  tick() {
    for (const tile of this.#tiles.values()) tile.tick();
  }

  /** How many tiles show what, by state. */
  states() {
    const states = { live: 0, stale: 0, waiting: 0 };
    for (const tile of this.#tiles.values()) states[tile.element.dataset.state] += 1;
    return states;
  }

  #draw() {
    const rows = this.#rows.filter((row) => row.name.includes(this.#wanted));
    sync(this.element, this.#tiles, rows, (row) => row.name, (row) => this.#make(row));
    this.element.dataset.size = size(rows.length);
    this.empty.hidden = rows.length > 0;
    setText(this.empty, this.#rows.length === 0
      ? "No cameras yet. Add a camera's frame ring to the inputs of this web worker."
      : `No camera's name contains “${this.#wanted}”.`);
  }

  #make(row) {
    const interval = () => Math.max(INTERVAL_MIN_MS, (this.inView.size * 1000) / BUDGET_PER_S);
    const mayPlay = () => this.inView.size <= PLAYED_MAX;
    const tile = new Tile(row.name, interval, { mayPlay, ...this.options });
    this.observer.observe(tile.element);
    return {
      element: tile.element,
      update: (newer) => tile.update(newer),
      tick: () => tile.tick(),
      watch: (on) => { tile.watching = on; },
      remove: () => {
        this.observer.unobserve(tile.element);
        this.inView.delete(row.name);
        tile.remove();
      },
    };
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const name = target.dataset.camera;
      if (isIntersecting) this.inView.add(name);
      else this.inView.delete(name);
      this.#tiles.get(name)?.watch(isIntersecting);
    }
  }
}

/** The size class of tiles for a number of cameras. */
export function size(count) {
  if (count <= 1) return "one";
  if (count <= 4) return "few";
  return count <= 20 ? "some" : "many";
}
