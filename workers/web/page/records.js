// The records of all event rings that the page's worker reads, as they come, for as long as the page is open.

import { follow, getJson } from "./api.js";
import { pause } from "./poll.js";

const RETRY_MS = 2_000;
/** Things that are remembered. */
const THINGS_MAX = 2_000;

/** What happened since the server's oldest record: of each thing the first and the newest one. */
export class Lately {
  #things = new Map(); // ring and id -> {first, last}

  constructor({ max = THINGS_MAX } = {}) {
    this.max = max;
  }

  add(ring, record) {
    const key = `${ring} ${record.id}`;
    const told = { ring, ...record };
    const thing = this.#things.get(key) ?? { first: told, last: told };
    if (told.time_utc_ns < thing.first.time_utc_ns) thing.first = told;
    if (told.time_utc_ns >= thing.last.time_utc_ns) thing.last = told;
    // Behind all others: the one that was silent for longest goes first.
    this.#things.delete(key);
    this.#things.set(key, thing);
    if (this.#things.size > this.max) this.#things.delete(this.#things.keys().next().value);
  }

  /** Records as `/api/v1/events` has them, newest first. */
  get records() {
    const all = [...this.#things.values()].flatMap(({ first, last }) => (first === last ? [last] : [last, first]));
    return all.sort((one, other) => other.time_utc_ns - one.time_utc_ns);
  }
}

/** Follows one ring; goes on where it was when the stream ends. `goesOn()` is there for tests. */
export async function followRing(ring, take, goesOn = () => true) {
  let after = null;
  while (goesOn()) {
    await follow(`/api/v1/records/${encodeURIComponent(ring)}/live`, ({ name, id, data }) => {
      if (id) after = id;
      if (name === "message") take(ring, JSON.parse(data));
    }, { after }).catch(() => {}); // it is tried again
    if (goesOn()) await pause(RETRY_MS);
  }
}

/** `take(ring, record)` for each record of each ring. */
export async function followAll(take) {
  // The lists say what is wrong while nobody answers.
  for (let inputs = null; inputs === null; ) {
    inputs = await getJson("/api/v1/about").then((about) => about.inputs).catch(() => null);
    if (inputs === null) await pause(RETRY_MS);
    else inputs.filter((ring) => ring.endsWith(".events")).forEach((ring) => followRing(ring, take));
  }
}
