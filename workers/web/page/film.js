// One camera's recording in a video element: fetches the segments around the moment that is wanted and hands
// them to the browser (Media Source Extensions). Never holds more than a minute.

import { here } from "./api.js";
import { keyBefore, locate, parse, utcOf } from "./playlist.js";
import { pause } from "./poll.js";

/** Fetched ahead of the moment, and kept behind it, in s. */
const AHEAD_S = 15;
const BEHIND_S = 20;
/** A playlist that still grows is asked for again. */
const AGAIN_MS = 3_000;
const RETRY_MS = 1_000;
const DEADLINE_MS = 20_000;
/** Lists of pictures. */
const LISTS_KEPT = 4;
/** What is being recorded is in the playlist so much later, at most. */
const LATE_MS = 15_000;

const REASONS = {
  damage: "The recording is damaged here",
  discontinuity: "The camera was interrupted",
  missing: "Packets were lost",
  paused: "It was not to be recorded",
  removed: "Files of this time were removed, or could not be written",
  source_restart: "The camera was started again",
};

/** Why there is no picture, for people. */
export function reason(gap) {
  const words = REASONS[gap.reason] ?? gap.reason;
  return gap.missing > 0 ? `${words} (${gap.missing} packets)` : words;
}

async function fetched(url, signal) {
  const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]) });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const refused = new Error(body.error?.text ?? `status ${response.status}`);
  refused.status = response.status;
  throw refused;
}

const MediaSourceClass = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

export class Film {
  #end = new AbortController();
  #list = { segments: [], gaps: [], ended: false };
  #wanted = null; // {index, at}
  #inits = new Map(); // url -> {bytes, type}
  #appended = new Set(); // indexes
  #gone = new Set(); // urls of segments that were removed
  #named = new Map(); // url of a list of pictures -> promise of it, the newest ones
  #moved = false; // the list begins elsewhere than what is in the buffer
  #media = null;
  #buffer = null;
  #init = null; // url of the one appended last
  #url = null;

  /** From `from` to `to`, in ms; without `to` until now and on. */
  constructor(camera, video, from, to = null, { wall = () => Date.now() } = {}) {
    this.wall = wall;
    this.camera = camera;
    this.video = video;
    this.trouble = null; // why nothing can be shown, for people
    const iso = (ms) => new Date(ms).toISOString();
    const query = to === null ? `from=${iso(from)}` : `from=${iso(from)}&to=${iso(to)}`;
    this.playlist = here(`/recordings/${camera}/index.m3u8?${query}`);
    this.#follow();
  }

  get segments() {
    return this.#list.segments;
  }

  want(now) {
    const found = locate(this.#list.segments, now);
    this.#wanted = found ?? this.#wanted;
    if (found && this.#isGone(found.index)) return { why: "It was removed to make room" };
    if (found) return this.trouble ? { why: this.trouble } : { at: found.at };
    const gap = this.#list.gaps.find((one) => one.from <= now && now < one.to);
    if (!gap && this.#comes(now)) return { why: "Waiting for what is being recorded", waits: true };
    return { why: gap ? reason(gap) : this.trouble ?? "Nothing is recorded" };
  }

  /** Whether the segment, or what it is decoded with, was removed since the list was made. */
  #isGone(index) {
    const { segments } = this.#list;
    for (let one = keyBefore(segments, index); one <= index; one += 1) {
      if (this.#gone.has(segments[one].url)) return true;
    }
    return false;
  }

  /** Whether the moment is so young that its pictures may still come. */
  #comes(now) {
    const { segments, ended } = this.#list;
    const last = segments.at(-1);
    const isBehind = !last || now >= last.utc + last.lasts * 1000;
    return !ended && isBehind && now > this.wall() - LATE_MS;
  }

  utc(at) {
    return utcOf(this.#list.segments, at);
  }

  /** Whether what is shown is the last before a gap, or before the end. */
  ends(now) {
    const found = locate(this.#list.segments, now);
    if (!found) return true;
    const { at, lasts } = this.#list.segments[found.index];
    const next = this.#list.segments[found.index + 1];
    return (!next || next.behindGap || this.#gone.has(next.url)) && at + lasts - found.at < 0.3;
  }

  /** The pictures of the segment with this moment: {ring, pictures}; null when there is none. */
  async pictures(now) {
    const found = locate(this.#list.segments, now);
    return found ? this.#names(this.#list.segments[found.index].url.replace(".m4s", ".json")) : null;
  }

  /** The list at an address; who asks for it at each picture has it fetched once. */
  #names(url) {
    if (!this.#named.has(url)) {
      const list = fetched(url, this.#end.signal).then((response) => response.json());
      list.catch(() => this.#named.delete(url));
      this.#named.set(url, list);
      if (this.#named.size > LISTS_KEPT) this.#named.delete(this.#named.keys().next().value);
    }
    return this.#named.get(url);
  }

  /** Lets go of everything. */
  close() {
    this.#end.abort();
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.video.removeAttribute("src");
    this.video.load();
  }

  async #follow() {
    while (!this.#end.signal.aborted) {
      try {
        const response = await fetched(this.playlist, this.#end.signal);
        this.#take(parse(await response.text(), response.url));
        this.trouble = null;
        if (!this.#media) this.#feed();
        if (this.#list.ended) return;
        await pause(AGAIN_MS);
      } catch (error) {
        if (this.#end.signal.aborted) return;
        if (this.#list.segments.length === 0) this.trouble = error.message;
        if (error.status && error.status < 500 && error.status !== 404) return;
        await pause(error.status === 404 ? AGAIN_MS : RETRY_MS);
      }
    }
  }

  /** A list without its begin, which retention took, counts and times its segments anew. */
  #take(list) {
    const [before, first] = [this.#list.segments[0], list.segments[0]];
    if (before && before.url !== first?.url) [this.#moved, this.#wanted] = [true, null];
    this.#list = list;
  }

  async #feed() {
    this.#media = new MediaSourceClass();
    this.#url = URL.createObjectURL(this.#media);
    this.video.disableRemotePlayback = true; // ManagedMediaSource asks for it
    this.video.src = this.#url;
    await new Promise((resolve) => this.#media.addEventListener("sourceopen", resolve, { once: true }));
    while (!this.#end.signal.aborted) {
      try {
        if (this.#moved) await this.#empty();
        const index = this.#next();
        if (index === null) await pause(50);
        else await this.#append(index);
      } catch (error) {
        if (this.#end.signal.aborted) return;
        if (error.name === "QuotaExceededError") await this.#forget(2);
        else if (error.fatal) {
          this.trouble = error.message;
          return;
        } else await pause(RETRY_MS);
      }
    }
  }

  /** The segment to fetch now; null when there is enough. */
  #next() {
    if (!this.#wanted) return null;
    const { segments } = this.#list;
    const { index, at } = this.#wanted;
    for (let one = keyBefore(segments, index); one < segments.length; one += 1) {
      if (segments[one].at > at + AHEAD_S) return null;
      if (!this.#appended.has(one) && !this.#gone.has(segments[one].url)) return one;
    }
    return null;
  }

  async #append(index) {
    const segment = this.#list.segments[index];
    const bytes = await this.#bytes(segment).catch((error) => {
      // Retention was quicker: it is passed over.
      if (error.status === 404) this.#gone.add(segment.url);
      throw error;
    });
    await this.#forget(BEHIND_S);
    await this.#done(() => this.#buffer.appendBuffer(bytes));
    this.#appended.add(index);
  }

  async #bytes(segment) {
    await this.#begin(segment.init);
    return (await fetched(segment.url, this.#end.signal)).arrayBuffer();
  }

  /** Makes the buffer ready for segments of this init. */
  async #begin(url) {
    if (this.#init === url) return;
    if (!this.#inits.has(url)) {
      const response = await fetched(url, this.#end.signal);
      const type = response.headers.get("Content-Type");
      this.#inits.set(url, { type, bytes: await response.arrayBuffer() });
    }
    const { type, bytes } = this.#inits.get(url);
    if (!MediaSourceClass.isTypeSupported(type)) {
      const error = new Error(`This browser cannot play ${type}`);
      error.fatal = true;
      throw error;
    }
    if (this.#buffer) this.#buffer.changeType(type);
    else this.#buffer = this.#media.addSourceBuffer(type);
    await this.#done(() => this.#buffer.appendBuffer(bytes));
    this.#init = url;
  }

  /** Removes what is far from the moment; `keep` s stay before it. */
  async #forget(keep) {
    if (this.#moved || !this.#wanted) return;
    const { segments } = this.#list;
    const { at } = this.#wanted;
    const isFar = (index) => {
      const segment = segments[index];
      return segment.at + segment.lasts < at - keep || segment.at > at + 2 * AHEAD_S;
    };
    for (const index of [...this.#appended].filter(isFar)) {
      const { at: begin, lasts } = segments[index];
      await this.#done(() => this.#buffer.remove(begin, begin + lasts));
      this.#appended.delete(index);
    }
  }

  async #empty() {
    // First: the list may move again meanwhile.
    this.#moved = false;
    this.#appended.clear();
    if (this.#init) await this.#done(() => this.#buffer.remove(0, Infinity));
  }

  /** Waits for the end of what the buffer is told to do. */
  #done(work) {
    return new Promise((resolve, reject) => {
      const buffer = this.#buffer;
      const finish = (event) => {
        buffer.removeEventListener("updateend", finish);
        buffer.removeEventListener("error", finish);
        if (event.type === "error") reject(Object.assign(new Error("This browser cannot play the recording"), { fatal: true }));
        else resolve();
      };
      buffer.addEventListener("updateend", finish);
      buffer.addEventListener("error", finish);
      try {
        work();
      } catch (error) {
        buffer.removeEventListener("updateend", finish);
        buffer.removeEventListener("error", finish);
        reject(error);
      }
    });
  }
}
