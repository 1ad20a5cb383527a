// Several videos on one clock. `now` is a time of day in ms; each tick every video is told which place of it
// that is, and brought there by a little speed, or by a seek when it is far off.
//
// A film knows where in a video a moment is, and brings into it what is needed for that:
//   film.want(now)   {at: seconds of the video} while there is a picture, {why} for people when there is none;
//                    both in a gap that the video has too; {why, waits: true} when pictures will come
//   film.utc(at)     when the picture at this place was captured, in ms
//   film.ends(now)   nothing comes behind what is shown: it need not be waited for

/** A third of a second and more is sought, a few ms are as good as none. */
const FAR_S = 0.3;
const NEAR_S = 0.004;
/** How hard a drift is answered: one of 50 ms with 10 % more or less speed. */
const PULL = 2;
const PULL_MAX = 0.2;
/** A seek takes this long at least; another one before would never end. */
const SEEK_EVERY_MS = 400;
/** Longer between two ticks, and time stood still: the page was hidden. */
const TICK_MAX_MS = 250;
/** Enough to play on: HAVE_FUTURE_DATA; enough to show a picture: HAVE_CURRENT_DATA. */
const FUTURE = 3;
const CURRENT = 2;

/** A video that follows the clock. */
export class Follower {
  constructor(video, film) {
    this.video = video;
    this.film = film;
    this.broken = null; // why the video cannot be played at all
    this.why = null; // why there is no picture now
    this.waits = false; // for pictures that are not made yet
    this.at = null; // where in the video now is
    this.shown = null; // when the picture on the screen was captured
    this.place = null; // and where in the video it is
    this.drift = 0;
    this.sought = 0;
    if (video.requestVideoFrameCallback) this.#watch();
  }

  /** The picture that is on the screen, by its own time. */
  #watch() {
    this.video.requestVideoFrameCallback((_, picture) => {
      this.place = picture.mediaTime;
      this.shown = this.film.utc(picture.mediaTime);
      this.#watch();
    });
  }

  tick(now, playing, rate) {
    const { at = null, why = null, waits = false } = this.film.want(now);
    this.at = at;
    this.waits = waits;
    this.why = this.broken ?? why;
    const { video } = this;
    const goes = playing && at !== null && !this.why;
    if (!goes && !video.paused) video.pause();
    if (at === null || video.readyState < 1) return;
    this.drift = video.currentTime - at;
    if (goes && video.paused) video.play().catch(() => {});
    const far = goes ? FAR_S : NEAR_S;
    if (Math.abs(this.drift) > far && !video.seeking && performance.now() - this.sought > SEEK_EVERY_MS) {
      this.sought = performance.now();
      video.currentTime = at;
    }
    const pull = Math.abs(this.drift) < NEAR_S ? 0 : Math.max(-PULL_MAX, Math.min(PULL_MAX, this.drift * PULL));
    const speed = rate * (1 - pull);
    if (Math.abs(video.playbackRate - speed) > 0.001) video.playbackRate = speed;
  }

  /** Whether there is a picture to show for `now`, or none to wait for. */
  ready(now) {
    if (this.waits) return false;
    if (this.why || this.at === null) return true;
    if (this.video.seeking) return false;
    return this.video.readyState >= FUTURE || (this.video.readyState >= CURRENT && this.film.ends(now));
  }

  soughtAnew() {
    this.sought = 0;
    this.shown = null;
    this.place = null;
  }
}

/** The clock. Who waits for pictures is waited for: nobody runs ahead. */
export class Conductor {
  #before = null;

  constructor(first, last, now) {
    this.first = first;
    this.last = last;
    this.now = now;
    this.rate = 1;
    this.playing = false;
    this.followers = [];
  }

  /** `real`: the time of the machine in ms, as frames of the page have it. */
  step(real) {
    const passed = this.#before === null ? 0 : real - this.#before;
    this.#before = real;
    if (this.playing && this.followers.every((follower) => follower.ready(this.now))) {
      this.now = Math.min(this.last, this.now + Math.min(passed, TICK_MAX_MS) * this.rate);
      if (this.now >= this.last) this.playing = false;
    }
    for (const follower of this.followers) follower.tick(this.now, this.playing, this.rate);
  }

  play() {
    if (this.now >= this.last) this.seek(this.first);
    this.playing = true;
  }

  pause() {
    this.playing = false;
  }

  seek(now) {
    this.now = Math.max(this.first, Math.min(this.last, now));
    for (const follower of this.followers) follower.soughtAnew();
  }
}
