// One camera's video in a room: its picture, why there is none, and which frame it is.

import { el, setText } from "./dom.js";
import { Film } from "./film.js";
import { Follower } from "./sync.js";

export class Screen {
  /** From `from` to `to` in ms, as for a film. */
  constructor(camera, from, to, { film = (video) => new Film(camera, video, from, to) } = {}) {
    this.camera = camera;
    this.video = el("video", { playsinline: "", preload: "auto", "aria-label": `Recording of ${camera}` });
    this.video.muted = true;
    this.why = el("p", { class: "why" });
    this.frame = el("span", { class: "number frame", title: "ring, epoch and sequence of the frame shown" });
    this.element = el("figure", { class: "screen-of" },
      el("div", { class: "screen" }, this.video, this.why),
      el("figcaption", { class: "caption" }, el("h3", { "aria-level": "2" }, camera), el("span", { class: "spring" }), this.frame));
    this.element.dataset.camera = camera;
    this.film = film(this.video);
    this.follower = new Follower(this.video, this.film);
    this.told = null; // place in the video of the frame that is named
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
