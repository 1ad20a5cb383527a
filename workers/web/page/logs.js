// What a worker printed last.

import { el, setData, setText, sync } from "./dom.js";

/** Lines shown. */
const LINES_MAX = 500;

/** Error, warning or neither, by the words that a worker's log lines begin with. */
export function tone(text) {
  if (/\b(ERROR|error:|panicked|Traceback)(?!\w)/.test(text)) return "bad";
  return /\b(WARN|warning:)(?!\w)/.test(text) ? "warn" : "calm";
}

/** Time of day to the ms. */
const clock = (ns) => new Date(ns / 1e6).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

function row() {
  const [when, text] = [el("time"), el("span")];
  const element = el("li", {}, when, text);
  const update = ({ line }) => {
    setText(when, clock(line.time_utc_ns));
    setText(text, line.text);
    setData(element, "tone", tone(line.text));
  };
  return { element, update };
}

export class Logs {
  #rows = new Map();
  #wanted = "";
  #lines = [];

  constructor(list) {
    this.list = list;
    this.none = el("li", { class: "none" });
  }

  /** Shows only lines with `text` in them. */
  set filter(text) {
    this.#wanted = text.trim().toLowerCase();
    this.#draw();
  }

  /** Lines as `/api/v1/logs/WORKER` has them, oldest first. */
  update(lines) {
    this.#lines = lines;
    this.#draw();
  }

  #draw() {
    const shown = this.#lines.filter(({ text }) => text.toLowerCase().includes(this.#wanted)).slice(-LINES_MAX);
    // Who has scrolled up reads on where he is.
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 30;
    const counts = new Map();
    const keyed = shown.map((line) => {
      const key = `${line.time_utc_ns} ${line.text}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return { key: `${key} ${counts.get(key)}`, line };
    });
    this.none.remove();
    sync(this.list, this.#rows, keyed, ({ key }) => key, row);
    setText(this.none, this.#lines.length === 0 ? "It printed nothing so far." : "No line has that in it.");
    if (shown.length === 0) this.list.append(this.none);
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }
}
