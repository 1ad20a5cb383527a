// Where the time goes between a camera and its viewer, hop by hop.

import { el, setText, sync } from "./dom.js";

const WORDS = {
  capture: "captured", ingest: "received", decoded: "decoded", published: "in the ring", taken: "taken by the page's worker",
  encoded: "made a JPEG", shown: "shown here",
};

/** Milliseconds as people read them. */
export const ms = (value) => (value === null || value === undefined ? "–" : value < 9.95 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`);

/** A hop's name: from one stage to the next, in a ring. */
export const hopName = ({ from, to, ring }) => {
  const [first, second] = [WORDS[from] ?? from, WORDS[to] ?? to];
  return ring ? `${first} → ${second} (${ring})` : `${first} → ${second}`;
};

/**
 * The hop from where the last measured one ends to the screen: what the player tells of its newest picture, less
 * all before. `tellings` are the last {ageMs} of a player.
 */
export function shownHop(tellings) {
  const ages = tellings.map(({ ageMs }) => ageMs).filter((age) => Number.isFinite(age) && age >= 0).sort((a, b) => a - b);
  if (ages.length === 0) return null;
  const at = (share) => ages[Math.min(ages.length - 1, Math.floor(ages.length * share))];
  return { ring: null, from: "ingest", to: "shown", median_ms: at(0.5), p99_ms: at(0.99), count: ages.length };
}

function row() {
  const name = el("th", { scope: "row" });
  const bar = el("div", { class: "hop-bar", "aria-hidden": "true" }, el("i"));
  const [median, worst] = [el("td", { class: "number" }), el("td", { class: "number" })];
  const element = el("tr", {}, name, el("td", { class: "hop-cell" }, bar), median, worst);
  const update = ({ hop, longest }) => {
    setText(name, hopName(hop));
    setText(median, ms(hop.median_ms));
    setText(worst, ms(hop.p99_ms));
    bar.firstElementChild.style.width = `${longest > 0 ? Math.min(100, (100 * (hop.median_ms ?? 0)) / longest) : 0}%`;
  };
  return { element, update };
}

export class Hops {
  #rows = new Map();

  constructor(place) {
    this.body = el("tbody");
    this.table = el("table", { class: "hops" }, el("caption", { class: "for-readers" }, "Latency of each hop"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Hop"), el("th", { scope: "col" }, el("span", { class: "for-readers" }, "Share")),
        el("th", { scope: "col", class: "number" }, "median"), el("th", { scope: "col", class: "number" }, "99 %"))), this.body);
    this.empty = el("p", { class: "empty" });
    place.replaceChildren(this.table, this.empty);
    this.update([]);
  }

  /** Hops as `/api/v1/latency/CAM` has them, in their order. */
  update(hops) {
    const longest = Math.max(0, ...hops.map((hop) => hop.median_ms ?? 0));
    sync(this.body, this.#rows, hops.map((hop) => ({ hop, longest })), ({ hop }) => hopName(hop), row);
    this.table.hidden = hops.length === 0;
    this.empty.hidden = hops.length > 0;
    setText(this.empty, hops.length === 0 ? "Nothing came through so far." : "");
  }
}
