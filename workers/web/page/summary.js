// The line of facts in the header: what is well and what is not, in words and colours.

import { here } from "./api.js";
import { el, setData, setText, sync } from "./dom.js";
import * as format from "./format.js";

const UP = new Set(["running", "ready", "degraded"]);

/** The facts as {key, tone, text}, and `path` where there is more to know. `workers` and `rings` are null while unknown. */
export function facts({ states, workers, rings }) {
  const list = [{ key: "live", tone: states.live > 0 ? "good" : "calm", text: `${states.live} live` }];
  if (states.stale > 0) list.push({ key: "stale", tone: "bad", text: `${states.stale} stale` });
  if (states.waiting > 0) list.push({ key: "waiting", tone: "warn", text: `${states.waiting} waiting` });
  const dropped = (rings ?? []).reduce((sum, { drops }) => sum + (drops?.no_slot ?? 0) + (drops?.too_large ?? 0), 0);
  if (dropped > 0) list.push({ key: "dropped", tone: "bad", text: `${format.count(dropped)} dropped`, path: "/system" });
  if (workers) {
    const up = workers.filter(({ state }) => UP.has(state)).length;
    const tone = up === workers.length ? "good" : "bad";
    list.push({ key: "workers", tone, text: `${up} of ${workers.length} workers up`, path: "/system" });
  }
  if (rings) {
    const total = rings.reduce((sum, ring) => sum + ring.bytes, 0);
    list.push({ key: "memory", tone: "calm", text: `${format.bytes(total)} in ${rings.length} rings`, path: "/system" });
  }
  return list;
}

function fact({ path }) {
  const words = path ? el("a", { href: here(path) }) : el("span");
  const element = el("li", { class: "badge" }, words);
  const update = ({ tone, text }) => {
    setData(element, "tone", tone);
    setText(words, text);
  };
  return { element, update };
}

export class Summary {
  #facts = new Map();

  constructor(list) {
    this.list = list;
  }

  update(seen) {
    sync(this.list, this.#facts, facts(seen), ({ key }) => key, fact);
  }
}
