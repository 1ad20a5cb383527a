// Which way live video comes: the best that goes, or one that is chosen. Kept in the address of the page, so that a link
// and a reload play alike.

import { el } from "./dom.js";

const KEY = "way";

export class Ways {
  /**
   * Lets people choose by `select` among the ways of `player` (player.js); the address may have chosen already. `page` is
   * the window, but in tests.
   */
  constructor(select, player, page = globalThis) {
    Object.assign(this, { select, player, page });
    const ways = [{ name: "", label: "automatic" }, ...player.ways];
    select.replaceChildren(...ways.map(({ name, label }) => el("option", { value: name }, label)));
    const asked = new URL(page.location.href).searchParams.get(KEY) ?? "";
    // What this browser lacks, or nobody knows, is left to the player.
    this.#choose(ways.some(({ name }) => name === asked) ? asked : "");
    select.addEventListener("change", () => {
      this.#choose(select.value);
      this.#keep(select.value);
    });
  }

  /** What the address of another camera has to say more. */
  get kept() {
    return this.player.way ? `&${KEY}=${encodeURIComponent(this.player.way)}` : "";
  }

  #choose(name) {
    this.select.value = name;
    this.player.way = name;
  }

  #keep(name) {
    const address = new URL(this.page.location.href);
    if (name) address.searchParams.set(KEY, name);
    else address.searchParams.delete(KEY);
    this.page.history.replaceState(this.page.history.state, "", address.href);
  }
}
