// The live tables of workers and rings. Rows keep their elements, so that text can be selected
// while numbers change.

import { el, setData, setText, sync } from "./dom.js";
import * as format from "./format.js";

/** Columns as {title, number?, cell(td, row)}; `key(row)` names a row. */
class Table {
  #rows = new Map();

  constructor(container, caption, columns, key) {
    this.columns = columns;
    this.key = key;
    const head = columns.map(({ title, number }) => el("th", { scope: "col", class: number ? "number" : null }, title));
    this.body = el("tbody");
    this.empty = el("p", { class: "empty", hidden: "" });
    this.table = el("table", {}, el("caption", { class: "for-readers" }, caption), el("thead", {}, el("tr", {}, ...head)), this.body);
    container.replaceChildren(this.table, this.empty);
  }

  update(rows, whenEmpty) {
    sync(this.body, this.#rows, rows, this.key, () => this.#make());
    this.table.hidden = rows.length === 0;
    this.empty.hidden = rows.length > 0;
    setText(this.empty, whenEmpty);
  }

  #make() {
    const cells = this.columns.map(({ number }) => el("td", { class: number ? "number" : null }));
    return {
      element: el("tr", {}, ...cells),
      update: (row) => this.columns.forEach(({ cell }, index) => cell(cells[index], row)),
    };
  }
}

const text = (value) => (cell, row) => setText(cell, value(row));

/** Shows a state as a badge: a word, and a colour for those who see it. */
function badge(cell, tone, word) {
  if (!cell.firstElementChild) cell.append(el("span", { class: "badge" }));
  setData(cell.firstElementChild, "tone", tone);
  setText(cell.firstElementChild, word);
}

const WORKER_TONES = {
  running: "good", ready: "good", starting: "busy", stopping: "busy",
  degraded: "warn", backoff: "bad", held: "bad", stopped: "calm",
};

/** The reason of the state; for a worker that is well, why it was restarted. */
const why = (row) => row.why || (row.last_exit ? `last exit: ${row.last_exit}` : "");

export function workersTable(container) {
  const columns = [
    { title: "Worker", cell: text((row) => row.name) },
    { title: "Kind", cell: text((row) => row.kind) },
    { title: "State", cell: (cell, row) => badge(cell, WORKER_TONES[row.state] ?? "calm", row.state) },
    { title: "Why", cell: text(why) },
    { title: "Restarts", number: true, cell: text((row) => format.count(row.restarts)) },
    { title: "Uptime", number: true, cell: text((row) => (row.pid ? format.span(row.uptime_s) : "–")) },
    { title: "PID", number: true, cell: text((row) => String(row.pid ?? "–")) },
  ];
  return new Table(container, "Workers and their states", columns, (row) => row.name);
}

/** Items a second of each ring, from one list to the next. */
export class Rates {
  #last = new Map();

  /** `rows` as they came, at `now` ms; returns name -> rate. */
  take(rows, now) {
    const rates = new Map();
    const seen = new Map();
    for (const { name, epoch, head } of rows) {
      const last = this.#last.get(name);
      const same = last && last.epoch === epoch && now > last.now;
      if (same) rates.set(name, ((head - last.head) * 1000) / (now - last.now));
      // Two seconds between samples: one alone is too jumpy to read.
      seen.set(name, same && now - last.now < 2_000 ? last : { epoch, head, now });
    }
    this.#last = seen;
    return rates;
  }
}

function readers(cell, row) {
  const shown = row.readers.map(({ name, lag, missed }) => `${name}|${lag}|${missed}`).join("\n");
  if (cell.dataset.shown === shown) return;
  cell.dataset.shown = shown;
  cell.replaceChildren(...row.readers.map(reader));
  if (row.readers.length === 0) cell.textContent = "–";
}

function reader({ name, lag, missed }) {
  const chip = el("span", { class: "reader", "data-tone": missed > 0 ? "warn" : "calm" }, el("b", {}, name), ` lag ${format.count(lag)}`);
  if (missed > 0) chip.append(` · missed ${format.count(missed)}`);
  return chip;
}

export function ringsTable(container) {
  const columns = [
    { title: "Ring", cell: text((row) => row.name) },
    { title: "Writer", cell: (cell, row) => (row.live ? badge(cell, "good", "live") : badge(cell, "bad", "no writer")) },
    { title: "Rate", number: true, cell: text((row) => (row.rate === undefined ? "–" : `${row.rate.toFixed(1)}/s`)) },
    { title: "Head", number: true, cell: text((row) => format.count(row.head)) },
    { title: "Readers", cell: readers },
    { title: "Memory", number: true, cell: text((row) => format.bytes(row.bytes)) },
    { title: "Epoch", number: true, cell: text((row) => String(row.epoch)) },
  ];
  return new Table(container, "Rings and their readers", columns, (row) => row.name);
}
