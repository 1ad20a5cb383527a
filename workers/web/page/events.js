// The strip of the latest events: begin, update and end of one thing are one chip.

import { el, setData, setText, sync } from "./dom.js";
import * as format from "./format.js";

/** Chips shown. */
const CHIPS_MAX = 24;
/** An open event without news for this long is shown as over: its worker is gone. */
const SILENT_MS = 5_000;

/** Records, newest first, to one entry a thing, newest first; `data` is that of its newest record. */
export function things(records, nowMs, max = CHIPS_MAX) {
  const byId = new Map();
  for (const record of records) {
    const key = `${record.ring} ${record.id}`;
    const [what, phase = ""] = record.type.split(".");
    const ms = record.time_utc_ns / 1e6;
    const seen = byId.get(key);
    if (seen) {
      seen.fromMs = Math.min(seen.fromMs, ms);
      continue;
    }
    const open = (phase === "begin" || phase === "update") && nowMs - ms < SILENT_MS;
    byId.set(key, { key, what, camera: record.camera, open, fromMs: ms, toMs: ms, data: record.data });
  }
  return [...byId.values()].slice(0, max);
}

function chip() {
  const camera = el("b");
  const what = el("span");
  const when = el("time");
  const element = el("li", { class: "chip" }, camera, what, when);
  const update = (thing) => {
    setData(element, "open", String(thing.open));
    setText(camera, thing.camera);
    setText(what, thing.open ? `${thing.what} now` : thing.what);
    const lasted = (thing.toMs - thing.fromMs) / 1000;
    setText(when, `${format.clock(thing.fromMs * 1e6)}${lasted >= 1 ? ` · ${format.span(lasted)}` : ""}`);
  };
  return { element, update };
}

export class Events {
  #chips = new Map();

  constructor(list) {
    this.list = list;
    this.none = el("li", { class: "none" }, "Nothing happened so far.");
  }

  update(records, nowMs = Date.now()) {
    const shown = things(records, nowMs);
    this.none.remove();
    sync(this.list, this.#chips, shown, (thing) => thing.key, chip);
    if (shown.length === 0) this.list.append(this.none);
  }
}
