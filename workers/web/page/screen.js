// One camera's video in a room: its picture, what is seen in it, why there is none, and which frame it is.

import { BoxBook, Boxes } from "./boxes.js";
import { el, setText } from "./dom.js";
import { Film } from "./film.js";
import { Follower } from "./sync.js";

/** Times of one picture in a video and in its list, which are told in whole us. */
const SAME_S = 0.003;

export class Screen {
  /** From `from` to `to` in ms, as for a film; `book` has the records whose boxes are drawn. */
  constructor(camera, from, to, { book = new BoxBook(), film = (video) => new Film(camera, video, from, to) } = {}) {
    this.camera = camera;
    this.video = el("video", { playsinline: "", preload: "auto", "aria-label": `Recording of ${camera}` });
    this.video.muted = true;
    this.why = el("p", { class: "why" });
    this.frame = el("span", { class: "number frame", title: "ring, epoch and sequence of the frame shown" });
    this.element = el("figure", { class: "screen-of" },
      this.screen = el("div", { class: "screen" }, this.video, this.why),
      el("figcaption", { class: "caption" }, el("h3", { "aria-level": "2" }, camera), el("span", { class: "spring" }), this.frame));
    this.element.dataset.camera = camera;
    this.film = film(this.video);
    this.follower = new Follower(this.video, this.film);
    this.boxes = new Boxes(this.screen, book);
    this.told = null; // place in the video of the frame that is named
    this.marked = null; // and of the one whose boxes are drawn
    this.video.addEventListener("loadedmetadata", () => {
      this.element.style.setProperty("--shape", `${this.video.videoWidth} / ${this.video.videoHeight}`);
    });
    this.video.addEventListener("error", () => {
      if (this.video.error) this.follower.broken = "This browser cannot play the recording";
    });
  }

  draw() {
    const { why } = this.follower;
    this.element.classList.toggle("away", Boolean(why));
    setText(this.why, why ?? "");
  }

  /** Draws the boxes of the frame that is shown, by its id; none when it is not known in time. */
  async mark(now) {
    const { place, why } = this.follower;
    if (place === this.marked) return;
    this.marked = place;
    if (place === null || why || this.boxes.book.isEmpty) {
      this.boxes.clear();
      return;
    }
    const found = await this.pictures(now);
    if (!found || this.marked !== place) return;
    const { at_s: at, epoch, sequence } = found.all[found.index];
    // Of the next segment: its list is asked for with the next picture.
    if (Math.abs(at - place) > SAME_S) return;
    const { videoWidth: width, videoHeight: height } = this.video;
    this.boxes.show({ ring: found.ring, epoch, sequence, captureMs: this.film.utc(place), width, height });
  }

  /** The picture that is shown, and those of its segment in the order of showing; null without one. */
  async pictures(now) {
    const told = await this.film.pictures(now).catch(() => null);
    if (!told || told.pictures.length === 0) return null;
    const all = [...told.pictures].sort((one, other) => one.at_s - other.at_s);
    const place = this.follower.place ?? this.follower.at ?? 0;
    const index = Math.max(0, all.findLastIndex((picture) => picture.at_s <= place + 0.002));
    return { ring: told.ring, all, index };
  }

  /** Names the frame that is shown. */
  async tell(now) {
    const { place } = this.follower;
    if (place === null || place === this.told || this.follower.why) return;
    this.told = place;
    const found = await this.pictures(now);
    if (!found || this.told !== place) return;
    const { epoch, sequence } = found.all[found.index];
    setText(this.frame, `${found.ring} ${epoch}:${sequence}`);
    this.frame.dataset.sequence = String(sequence);
  }

  untell() {
    this.told = null;
    setText(this.frame, "");
    delete this.frame.dataset.sequence;
  }

  close() {
    this.film.close();
    this.element.remove();
  }
}
