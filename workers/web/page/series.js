// Numbers in records as lines over time. Pure.

/** Lines of one graph; more are not read by anybody. */
const LINES_MAX = 12;
/** Kept of each ring. */
const POINTS_MAX = 4_000;
/** A line is broken where nothing was said for so long. */
const PAUSE_MS = 5_000;

/** The size of the picture says nothing over time. */
const STILL = new Set(["width", "height"]);

/** The numbers in a record's data, by their path: {score: 0.1, "size.w": 3}. Lists are no lines; how long they are is. */
export function numbers(data, prefix = "", depth = 0) {
  const found = {};
  for (const [key, value] of Object.entries(data ?? {})) {
    if (STILL.has(key)) continue;
    const name = prefix ? `${prefix}.${key}` : key;
    if (typeof value === "number" && Number.isFinite(value)) found[name] = value;
    else if (typeof value === "boolean") found[name] = Number(value);
    else if (Array.isArray(value)) found[`${name} (count)`] = value.length;
    else if (value && typeof value === "object" && depth < 2) Object.assign(found, numbers(value, name, depth + 1));
  }
  return found;
}

/** What begins and goes on and ends is one thing: "motion.update" -> "motion". */
export const subject = (type) => type.replace(/\.(begin|update|end)$/, "");

export class Series {
  #points = []; // {ms, values: {name: value}}
  #names = new Map(); // line -> how often it was seen

  constructor({ max = POINTS_MAX } = {}) {
    this.max = max;
  }

  /** Takes a record; says whether it has a number. */
  add(record) {
    const values = {};
    const what = subject(record.type);
    for (const [name, value] of Object.entries(numbers(record.data))) values[`${what} ${name}`] = value;
    const names = Object.keys(values);
    if (names.length === 0) return false;
    for (const name of names) this.#names.set(name, (this.#names.get(name) ?? 0) + 1);
    const point = { ms: record.time_utc_ns / 1e6, values };
    // Records come nearly in order.
    let place = this.#points.length;
    while (place > 0 && this.#points[place - 1].ms > point.ms) place -= 1;
    this.#points.splice(place, 0, point);
    if (this.#points.length > this.max) this.#points.shift();
    return true;
  }

  get size() {
    return this.#points.length;
  }

  /** The lines that there are, those first that were seen most often; equals by name. */
  get names() {
    const all = [...this.#names].sort(([one, often], [other, seldom]) => seldom - often || one.localeCompare(other));
    return all.slice(0, LINES_MAX).map(([name]) => name);
  }

  /** [times in s, values of each name], of the last `span` ms before `now`; `null` where there is none. */
  columns(names, now, span) {
    const points = this.#points.filter(({ ms }) => ms >= now - span && ms <= now + PAUSE_MS);
    const times = [];
    const lines = names.map(() => []);
    let last = null;
    for (const { ms, values } of points) {
      if (last !== null && ms - last > PAUSE_MS) {
        times.push((last + 1) / 1000);
        lines.forEach((line) => line.push(null));
      }
      times.push(ms / 1000);
      // What this record does not say is not known to have changed: the line goes through.
      names.forEach((name, place) => lines[place].push(values[name] ?? undefined));
      last = ms;
    }
    return [times, ...lines];
  }

  /** The newest value of a line; null without one. */
  newest(name) {
    return this.#points.findLast(({ values }) => name in values)?.values[name] ?? null;
  }
}
