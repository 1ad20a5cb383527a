// A line of the last minutes, as small as a word.

import { setData } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [96, 22];

/** The path of values from the left to the right; `null` breaks the line. The lowest line is 0. */
export function path(values, { width = WIDTH, height = HEIGHT, top = Math.max(1e-9, ...values.filter((value) => value !== null)) } = {}) {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let pen = "M";
  return values.map((value, place) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const y = height - 1 - (Math.max(0, value) / top) * (height - 2);
    const part = `${pen}${(place * step).toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
    return part;
  }).join("");
}

/** What the line says, for who does not see it. */
export function told(values, unit) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return "no figures yet";
  const short = (value) => (value < 100 ? value.toFixed(1) : String(Math.round(value)));
  return `${short(known.at(-1))}${unit} now, ${short(Math.min(...known))} to ${short(Math.max(...known))} before`;
}

export class Spark {
  constructor(unit = "", tone = "calm") {
    this.unit = unit;
    this.element = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({ class: "spark", role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT })) {
      this.element.setAttribute(name, String(value));
    }
    this.line = document.createElementNS(SVG, "path");
    this.element.append(this.line);
    setData(this.element, "tone", tone);
    this.update([]);
  }

  update(values) {
    const shown = path(values);
    if (this.line.getAttribute("d") !== shown) this.line.setAttribute("d", shown);
    this.element.setAttribute("aria-label", told(values, this.unit));
  }
}
