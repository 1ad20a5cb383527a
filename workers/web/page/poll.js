// Work done again and again: one at a time, not while the page is hidden.

/** Resolves after `ms`. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs `work` now and `ms` after each end, as long as it `goesOn()`. It must not throw. */
export async function repeat(ms, work, goesOn = () => true) {
  while (goesOn()) {
    if (!document.hidden) await work();
    await pause(ms);
  }
}

/** A loop that can be switched on and off and never runs twice at once. `work` returns the next pause in ms. */
export class Loop {
  #work;
  #wanted = false;
  #running = false;

  constructor(work) {
    this.#work = work;
  }

  set on(wanted) {
    this.#wanted = wanted;
    if (wanted && !this.#running) this.#run();
  }

  get on() {
    return this.#wanted;
  }

  async #run() {
    this.#running = true;
    while (this.#wanted) {
      if (document.hidden) await pause(250);
      else await pause(await this.#work());
    }
    this.#running = false;
  }
}
