// When cameras were recorded and why not, a row each, with remarks as marks and a line at the moment shown.

import { el, setData, sync } from "./dom.js";
import { things } from "./events.js";
import { reason } from "./film.js";

const ms = (ns) => ns / 1e6;

/** Marks of events; more in a row are not told apart. */
const EVENTS_MAX = 200;

/**
 * What a row shows of a camera of `/api/v1/recordings`, from `from` to `to` in ms: {kind, left, width, title} in %.
 * `records` are those of `/api/v1/events`, newest first.
 */
export function marks(camera, from, to, records = []) {
  const share = (at) => (100 * (Math.min(to, Math.max(from, at)) - from)) / (to - from);
  const stretch = (kind, begin, end, title) => ({ kind, left: share(begin), width: share(end) - share(begin), title });
  const inside = ({ from_utc_ns: begin, to_utc_ns: end }) => ms(begin) < to && ms(end) > from;
  return [
    ...camera.ranges.filter(inside).map((one) => stretch("there", ms(one.from_utc_ns), ms(one.to_utc_ns), "recorded")),
    ...camera.gaps.filter(inside).map((one) => stretch("gap", ms(one.from_utc_ns), ms(one.to_utc_ns), reason(one))),
    ...things(records.filter((record) => record.camera === camera.camera), to, EVENTS_MAX)
      .filter(({ fromMs, toMs }) => fromMs < to && toMs >= from)
      .map(({ what, fromMs, toMs }) => stretch("event", fromMs, toMs, what)),
    ...camera.comments.filter((one) => ms(one.utc_ns) >= from && ms(one.utc_ns) < to)
      .map((one) => ({ kind: "note", left: share(ms(one.utc_ns)), width: null, title: remark(one) })),
  ];
}

/** A remark in one line. */
export function remark(comment) {
  const tags = comment.tags.map((tag) => `#${tag}`);
  return [comment.author && `${comment.author}:`, comment.text, ...tags].filter(Boolean).join(" ");
}

function row() {
  const name = el("span", { class: "name" });
  const band = el("div", { class: "band" });
  const element = el("div", { class: "row" }, name, band);
  const update = ({ camera, shown }) => {
    name.textContent = camera.camera;
    const key = JSON.stringify(shown);
    if (band.dataset.key === key) return;
    setData(band, "key", key);
    band.replaceChildren(...shown.map(({ kind, left, width, title }) => {
      const mark = el("i", { class: kind, title });
      mark.style.left = `${left}%`;
      if (width !== null) mark.style.width = `${width}%`;
      return mark;
    }));
  };
  return { element, update };
}

export class Timeline {
  #rows = new Map();
  #from = 0;
  #to = 1;

  /** `seek(ms)` is called with the moment that is clicked or dragged to. */
  constructor(element, seek, { label = "Moment shown" } = {}) {
    this.element = element;
    this.seek = seek;
    this.list = el("div", { class: "rows" });
    this.line = el("div", { class: "head", hidden: "" });
    this.scale = el("div", { class: "scale", "aria-hidden": "true" });
    const slider = { class: "timeline", tabindex: "0", role: "slider", "aria-label": label, "aria-valuenow": "0" };
    this.area = el("div", slider, this.list, this.line, this.scale);
    element.append(this.area);
    this.area.addEventListener("pointerdown", (event) => {
      this.area.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    this.area.addEventListener("pointermove", (event) => { if (event.buttons) this.#point(event); });
  }

  #point(event) {
    const box = this.scale.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    this.seek(this.#from + (this.#to - this.#from) * share);
  }

  /** Cameras as `/api/v1/recordings` has them, records as `/api/v1/events`. */
  update(cameras, from, to, records = []) {
    [this.#from, this.#to] = [from, to];
    const rows = cameras.map((camera) => ({ camera, shown: marks(camera, from, to, records) }));
    sync(this.list, this.#rows, rows, ({ camera }) => camera.camera, row);
    this.scale.replaceChildren(...ticks(from, to).map(({ left, text }) => {
      const tick = el("span", {}, text);
      tick.style.left = `${left}%`;
      return tick;
    }));
  }

  head(now, text) {
    const share = (now - this.#from) / (this.#to - this.#from);
    this.line.hidden = share < 0 || share > 1;
    this.line.style.setProperty("--share", String(share));
    this.area.setAttribute("aria-valuetext", text);
    this.area.setAttribute("aria-valuemin", String(Math.round(this.#from)));
    this.area.setAttribute("aria-valuemax", String(Math.round(this.#to)));
    this.area.setAttribute("aria-valuenow", String(Math.round(now)));
  }
}

const STEPS_S = [10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800];

/** Times of day below the rows, at most eight: {left in %, text}. */
export function ticks(from, to) {
  const step = 1_000 * (STEPS_S.find((seconds) => (to - from) / (seconds * 1_000) <= 8) ?? STEPS_S.at(-1));
  const zone = new Date(from).getTimezoneOffset() * 60_000;
  const first = Math.ceil((from - zone) / step) * step + zone;
  const found = [];
  for (let at = first; at < to; at += step) {
    const day = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const format = step >= 86_400_000 ? { month: "short", day: "numeric" } : step < 60_000 ? { ...day, second: "2-digit" } : day;
    // The last one would be cut off.
    if ((at - from) / (to - from) < 0.95) found.push({ left: (100 * (at - from)) / (to - from), text: new Date(at).toLocaleTimeString([], format) });
  }
  return found;
}
