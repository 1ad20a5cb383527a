// Where in a live video to be, and how fast: as near to its end as the connection is steady. Pure.

/** What lies between the moment shown and the newest picture, in s, while nothing stalls. */
const BASE_S = 0.12;
const MOST_S = 1;
/** A stall widens the distance so much; so long without one narrows it. */
const STALL_S = 0.08;
const CALM_MS = 10_000;
/** Further behind than this it is sought: it would take too long to catch up. */
const SEEK_S = 1.2;
/** Off by less than this is on time. */
const SLACK_S = 0.06;
const FASTEST = 1.2;
const SLOWEST = 0.95;

export class Edge {
  constructor(baseS = BASE_S) {
    this.baseS = baseS;
    this.targetS = baseS;
    this.changedMs = null;
  }

  /** Nothing was there to show. */
  stalled(nowMs) {
    this.targetS = Math.min(MOST_S, this.targetS + STALL_S);
    this.changedMs = nowMs;
  }

  /**
   * `at` is the moment shown, `ranges` what there is as [begin, end], in s. Gives {seek, rate}: `seek` is null unless the
   * moment is to be another one.
   */
  step(nowMs, at, ranges) {
    this.#calm(nowMs);
    const last = ranges.at(-1);
    if (!last) return { seek: null, rate: 1 };
    const [begin, end] = last;
    const wanted = Math.max(begin, end - this.targetS);
    // What lies before the last range was cut off from it by a skip or a restart: it is the past.
    const isOutside = at < begin || at > end + SLACK_S;
    const behind = end - at;
    if (isOutside || behind > Math.max(SEEK_S, 3 * this.targetS)) return { seek: wanted, rate: 1 };
    const off = behind - this.targetS;
    if (off > SLACK_S) return { seek: null, rate: Math.min(FASTEST, 1 + off / 2) };
    if (off < -SLACK_S && behind < this.targetS / 2) return { seek: null, rate: SLOWEST };
    return { seek: null, rate: 1 };
  }

  #calm(nowMs) {
    this.changedMs ??= nowMs;
    if (nowMs - this.changedMs < CALM_MS) return;
    this.targetS = Math.max(this.baseS, this.targetS * 0.8);
    this.changedMs = nowMs;
  }
}

/** What a media element has, as [begin, end]. */
export function ranges(buffered) {
  return Array.from({ length: buffered.length }, (_, index) => [buffered.start(index), buffered.end(index)]);
}
