// Boxes of records drawn over the picture they are about, by its frame id. What is drawn is never about a later
// picture than the one that is shown; while the record of a picture is still to come (an analyzer takes its time and
// may pass over pictures), the newest one before it is drawn, dashed, for less than half a second.

import { sync } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** Of a record whose picture is no longer shown. */
const HOLD_MS = 450;
/** Kept of each ring: as many as the server keeps. */
const KEPT = 3_000;

/** A number that is one, or null. */
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** The sides of a picture that a record tells of, or null: both, or none of it counts. */
function sizeOf({ width, height }) {
  const size = [width, height].map(number);
  return size.every((side) => side > 0) ? size : null;
}

/** The sides of a box, {x, y, w, h} (or width and height) or [x, y, w, h]; null when it is none. */
function sidesOf(box) {
  const sides = Array.isArray(box) ? box : [box?.x, box?.y, box?.w ?? box?.width, box?.h ?? box?.height];
  const [x, y, w, h] = [0, 1, 2, 3].map((at) => number(sides[at]));
  return [x, y, w, h].includes(null) || w <= 0 || h <= 0 ? null : [x, y, w, h];
}

/** What is found, and how surely: the box's own word before the record's. */
function labelOf(box, data) {
  const label = box.label ?? box.class ?? data.label ?? data.class ?? "";
  const sure = number(box.score ?? box.confidence ?? data.score ?? data.confidence);
  return label === "" || sure === null || sure < 0 || sure > 1 ? String(label) : `${label} ${Math.round(sure * 100)} %`;
}

/** The boxes of a record's data: {x, y, w, h, label} in shares of the picture; with `inPixels`, in pixels of the one that
 * is shown, whose size the record does not tell. */
export function boxesOf(data) {
  const list = Array.isArray(data?.boxes) ? data.boxes : data?.box ? [data.box] : [];
  const found = list.map((box) => ({ box, sides: sidesOf(box) })).filter(({ sides }) => sides);
  const size = sizeOf(data ?? {});
  const inPixels = !size && found.some(({ sides }) => sides.some((side) => side > 1));
  const [across, down] = size ?? [1, 1];
  return found.map(({ box, sides: [x, y, w, h] }) => ({
    x: x / across, y: y / down, w: w / across, h: h / down, label: labelOf(box, data), ...(inPixels && { inPixels }),
  }));
}

/** Records with boxes, by the picture they are about. */
export class BoxBook {
  #rings = new Map(); // event ring -> records, oldest first

  get isEmpty() {
    return this.#rings.size === 0;
  }

  add(ring, record) {
    if (!record.frame || /\.end$/.test(record.type)) return;
    const boxes = boxesOf(record.data);
    const kept = this.#rings.get(ring) ?? [];
    const { epoch, sequence } = record.frame;
    kept.push({ from: record.frame.ring, epoch, sequence, ms: record.time_utc_ns / 1e6, boxes });
    if (kept.length > KEPT) kept.shift();
    this.#rings.set(ring, kept);
  }

  /** What to draw over the picture that is shown: {ring, exact, boxes} of each ring that has some. */
  at({ ring: from, epoch, sequence, captureMs }) {
    const [shownEpoch, shownSequence] = [Number(epoch), Number(sequence)];
    const found = [];
    for (const [ring, kept] of this.#rings) {
      const fits = (one) => one.from === from && one.epoch === shownEpoch && one.sequence <= shownSequence;
      const last = kept.findLast(fits);
      if (!last) continue;
      const exact = last.sequence === shownSequence;
      if (last.boxes.length > 0 && (exact || captureMs - last.ms < HOLD_MS)) found.push({ ring, exact, boxes: last.boxes });
    }
    return found;
  }
}

/** One box as elements of SVG. */
function drawn() {
  const rect = document.createElementNS(SVG, "rect");
  const text = document.createElementNS(SVG, "text");
  const element = document.createElementNS(SVG, "g");
  element.append(rect, text);
  const update = ({ box, exact, width, height }) => {
    const [across, down] = box.inPixels ? [1, 1] : [width, height];
    const [x, y] = [box.x * across, box.y * down];
    for (const [name, value] of Object.entries({ x, y, width: box.w * across, height: box.h * down })) rect.setAttribute(name, String(value));
    element.setAttribute("class", exact ? "exact" : "held");
    text.setAttribute("x", String(x));
    text.setAttribute("y", String(Math.max(y - 4, height / 30)));
    text.setAttribute("font-size", String(height / 30));
    if (text.textContent !== box.label) text.textContent = box.label;
  };
  return { element, update };
}

/** Draws over the picture in `place`, which both fill. */
export class Boxes {
  #views = new Map();

  constructor(place, book = new BoxBook()) {
    this.book = book;
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "boxes");
    this.element.setAttribute("aria-hidden", "true");
    place.append(this.element);
  }

  set on(wanted) {
    this.element.classList.toggle("off", !wanted);
  }

  /** There is no picture. */
  clear() {
    sync(this.element, this.#views, [], ({ key }) => key, drawn);
  }

  /** As a player tells what it shows. */
  show(shown) {
    const { width, height } = shown;
    if (width > 0) this.element.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const all = this.book.at(shown).flatMap(({ ring, exact, boxes }) =>
      boxes.map((box, place) => ({ key: `${ring} ${place}`, box, exact, width, height })));
    sync(this.element, this.#views, all, ({ key }) => key, drawn);
  }
}
