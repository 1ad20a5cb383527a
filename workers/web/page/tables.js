// The live tables of workers and rings. Rows keep their elements, so that text can be selected
// while numbers change.

import { WORKER_TONES } from "./chain.js";
import { confirmed } from "./confirm.js";
import { el, setData, setText, sync } from "./dom.js";
import * as format from "./format.js";
import { Spark } from "./spark.js";

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

const sparks = new WeakMap();

/** A line of the last minutes; `values(row)` is undefined while nothing is known. */
const spark = (unit, values) => (cell, row) => {
  if (!sparks.has(cell)) {
    sparks.set(cell, new Spark(unit));
    cell.append(sparks.get(cell).element);
  }
  sparks.get(cell).update(values(row) ?? []);
};

/** Shows a state as a badge: a word, and a colour for those who see it. */
function badge(cell, tone, word) {
  if (!cell.firstElementChild) cell.append(el("span", { class: "badge" }));
  setData(cell.firstElementChild, "tone", tone);
  setText(cell.firstElementChild, word);
}

/** The reason of the state; for a worker that is well, why it was restarted. */
const why = (row) => row.why || (row.last_exit ? `last exit: ${row.last_exit}` : "");

/** A button that starts a worker anew; none while `row.may` is not true. */
const again = (restart) => (cell, { name, may }) => {
  if (may && !cell.firstElementChild) cell.append(confirmed("Restart", `Restart ${name}`, () => restart(name)));
  else if (!may && cell.firstElementChild) cell.replaceChildren();
};

/** Rows are those of `ps`, with `gives`: items a second of what each writes, over the last minutes. */
export function workersTable(container, restart = () => Promise.reject(new Error("nobody restarts"))) {
  const columns = [
    { title: "Worker", cell: text((row) => row.name) },
    { title: "Kind", cell: text((row) => row.kind) },
    { title: "State", cell: (cell, row) => badge(cell, WORKER_TONES[row.state] ?? "calm", row.state) },
    { title: "Why", cell: text(why) },
    { title: "Restarts", number: true, cell: text((row) => format.count(row.restarts)) },
    { title: "Uptime", number: true, cell: text((row) => (row.pid ? format.span(row.uptime_s) : "–")) },
    { title: "Gives", cell: spark("/s", (row) => row.gives) },
    { title: "PID", number: true, cell: text((row) => String(row.pid ?? "–")) },
    { title: el("span", { class: "for-readers" }, "Actions"), cell: again(restart) },
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

const chips = new WeakMap();

function readers(cell, row) {
  if (!chips.has(cell)) chips.set(cell, { views: new Map(), none: el("span", {}, "–") });
  const { views, none } = chips.get(cell);
  none.remove();
  // Two programs may call themselves the same.
  sync(cell, views, row.readers.map((one) => ({ ...one, lags: row.lags?.[one.name] })), ({ name, pid }) => `${name} ${pid}`, reader);
  if (row.readers.length === 0) cell.append(none);
}

function reader() {
  const [name, said, line] = [el("b"), el("span"), new Spark(" behind")];
  const element = el("span", { class: "reader" }, name, said, line.element);
  const update = (one) => {
    setData(element, "tone", one.missed > 0 ? "warn" : "calm");
    setText(name, one.name);
    setText(said, ` lag ${format.count(one.lag)}${one.missed > 0 ? ` · missed ${format.count(one.missed)}` : ""}`);
    // A straight line at nothing says no more than the number.
    line.element.classList.toggle("off", !one.lags?.some((lag) => lag > 1));
    line.update(one.lags ?? []);
  };
  return { element, update };
}

/** Rows are those of `rings`, with `rate`, and `rates` and `lags` (by reader) over the last minutes. */
export function ringsTable(container) {
  const columns = [
    { title: "Ring", cell: text((row) => row.name) },
    { title: "Writer", cell: (cell, row) => (row.live ? badge(cell, "good", "live") : badge(cell, "bad", "no writer")) },
    { title: "Rate", number: true, cell: text((row) => (row.rate === undefined ? "–" : `${row.rate.toFixed(1)}/s`)) },
    { title: "Last minutes", cell: spark("/s", (row) => row.rates) },
    { title: "Head", number: true, cell: text((row) => format.count(row.head)) },
    { title: "Readers", cell: readers },
    { title: "Memory", number: true, cell: text((row) => format.bytes(row.bytes)) },
    { title: "Epoch", number: true, cell: text((row) => String(row.epoch)) },
  ];
  return new Table(container, "Rings and their readers", columns, (row) => row.name);
}
