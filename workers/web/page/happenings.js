// A list of what happened, newest first: one line a thing, with its numbers, and a link to its recording.

import { here } from "./api.js";
import { el, setData, setText, sync } from "./dom.js";
import { things } from "./events.js";
import * as format from "./format.js";
import { numbers } from "./series.js";

const SHOWN_MAX = 100;
const FIGURES_MAX = 4;

/** The figures of a record in a line: "score 0.12, peak 0.4". */
export function figures(data) {
  return Object.entries(numbers(data)).slice(0, FIGURES_MAX).map(([name, value]) => `${name} ${Number.isInteger(value) ? value : value.toPrecision(3)}`).join(", ");
}

function row() {
  const [when, what, said] = [el("time"), el("b"), el("span", { class: "soft" })];
  const camera = el("a", {});
  const play = el("a", { class: "quiet" }, "Play");
  const element = el("li", {}, when, what, camera, said, el("span", { class: "spring" }), play);
  const update = (thing) => {
    setData(element, "open", String(thing.open));
    setText(when, format.clock(thing.fromMs * 1e6));
    when.dateTime = new Date(thing.fromMs).toISOString();
    setText(what, thing.open ? `${thing.what} now` : thing.what);
    setText(camera, thing.camera);
    camera.href = here(`/camera?name=${encodeURIComponent(thing.camera)}`);
    const lasted = (thing.toMs - thing.fromMs) / 1000;
    setText(said, [lasted >= 1 && format.span(lasted), figures(thing.data)].filter(Boolean).join(" · "));
    play.href = here(`/recordings?camera=${encodeURIComponent(thing.camera)}&at=${Math.round(thing.fromMs - 2_000)}`);
    play.setAttribute("aria-label", `Play the recording of ${thing.what} on ${thing.camera}`);
  };
  return { element, update };
}

export class Happenings {
  #rows = new Map();

  constructor(list) {
    this.list = list;
    this.none = el("li", { class: "none" }, "Nothing happened so far.");
  }

  /** Records, newest first. */
  update(records, nowMs = Date.now()) {
    const shown = things(records, nowMs, SHOWN_MAX);
    this.none.remove();
    sync(this.list, this.#rows, shown, (thing) => thing.key, row);
    if (shown.length === 0) this.list.append(this.none);
  }
}
