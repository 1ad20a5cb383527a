// The workers that a camera's pictures pass through, from the camera on, each with what it is doing and a button
// that starts it anew.

import { confirmed } from "./confirm.js";
import { el, setData, setText, sync } from "./dom.js";
import * as format from "./format.js";

export const WORKER_TONES = {
  running: "good", ready: "good", starting: "busy", stopping: "busy", draining: "busy",
  degraded: "warn", backoff: "bad", held: "bad", quarantined: "bad", stopped: "calm",
};

const cameraOf = (ring) => ring.split(".")[0];

/** Who wrote and read which ring when it last did: a worker that is down holds no ring. */
export class Ties {
  #writers = new Map();
  #readers = new Map();

  take(rings, workers) {
    const byPid = new Map(workers.filter(({ pid }) => pid).map((worker) => [worker.pid, worker.name]));
    const names = new Set(workers.map(({ name }) => name));
    for (const { name, writer_pid: pid, readers } of rings) {
      if (byPid.has(pid)) this.#writers.set(name, byPid.get(pid));
      const known = this.#readers.get(name) ?? new Set();
      for (const reader of readers) {
        const worker = byPid.get(reader.pid) ?? reader.name;
        if (names.has(worker)) known.add(worker);
      }
      this.#readers.set(name, known);
    }
  }

  writer(ring) {
    return this.#writers.get(ring) ?? null;
  }

  readers(ring) {
    return [...(this.#readers.get(ring) ?? [])];
  }
}

/**
 * The way of a camera's pictures as rows, in its order: {depth, name, worker, from, gives, lag, missed}. `worker` is
 * null for a program that the supervisor did not start.
 */
export function flow(camera, rings, workers, ties) {
  ties.take(rings, workers);
  const byName = new Map(workers.map((worker) => [worker.name, worker]));
  const own = rings.filter(({ name }) => cameraOf(name) === camera).map(({ name }) => name);
  const gives = (name) => rings.filter((ring) => ties.writer(ring.name) === name).map((ring) => ring.name);
  const [rows, told] = [[], new Set()];

  function visit(name, depth, from, reader) {
    const key = `${name} ${from ?? ""}`;
    if (told.has(key)) return;
    told.add(key);
    const isNew = !rows.some((row) => row.name === name);
    const outputs = gives(name);
    rows.push({
      depth, name, worker: byName.get(name) ?? null, from, gives: isNew ? outputs : [], lag: reader?.lag ?? null, missed: reader?.missed ?? 0,
    });
    if (isNew) outputs.filter((ring) => own.includes(ring)).forEach((ring) => readersOf(ring, depth + 1));
  }

  function readersOf(ring, depth) {
    const there = rings.find(({ name }) => name === ring)?.readers ?? [];
    for (const reader of there) visit(workers.find(({ pid }) => pid && pid === reader.pid)?.name ?? reader.name, depth, ring, reader);
    ties.readers(ring).filter((name) => !byName.get(name)?.pid).forEach((name) => visit(name, depth, ring, null));
  }

  const packets = own.filter((ring) => ring.endsWith(".packets"));
  for (const ring of [...packets, ...own]) {
    const writer = ties.writer(ring) ?? (ring.endsWith(".packets") && byName.has(camera) ? camera : null);
    if (writer && !rows.some(({ name }) => name === writer)) visit(writer, 0, null, null);
  }
  if (byName.has(camera) && !rows.some(({ name }) => name === camera)) visit(camera, 0, null, null);
  // Down since before this page was opened: told by its name, as the expansion of a camera gives it.
  for (const { name, pid } of workers) {
    if (!pid && name.startsWith(`${camera}-`) && !rows.some((row) => row.name === name)) visit(name, 1, null, null);
  }
  return rows;
}

/** What stands beside a worker's name. */
function facts({ worker, lag, missed }) {
  if (!worker) return "not started by framevisor";
  const said = [worker.kind];
  if (worker.pid) said.push(`up ${format.span(worker.uptime_s)}`);
  if (worker.restarts > 0) said.push(`${format.count(worker.restarts)} ${worker.restarts === 1 ? "restart" : "restarts"}`);
  if (lag > 1) said.push(`${format.count(lag)} behind`);
  if (missed > 0) said.push(`missed ${format.count(missed)}`);
  return said.join(" · ");
}

function row(restart) {
  const [name, said, why, rings] = [el("b"), el("span", { class: "soft" }), el("p", { class: "soft" }), el("span", { class: "rings" })];
  const badge = el("span", { class: "badge" });
  const element = el("li", {}, el("div", { class: "link-head" }, name, badge, said), rings, why);
  let button = null;
  const update = ({ row: told, may }) => {
    element.style.setProperty("--depth", String(told.depth));
    setText(name, told.name);
    setText(said, facts(told));
    badge.hidden = !told.worker;
    setData(badge, "tone", WORKER_TONES[told.worker?.state] ?? "calm");
    setText(badge, told.worker?.state ?? "");
    setText(why, told.worker?.why || (told.worker?.last_exit ? `last exit: ${told.worker.last_exit}` : ""));
    setText(rings, [told.from && `reads ${told.from}`, told.gives.length > 0 && `gives ${told.gives.join(", ")}`].filter(Boolean).join(" · "));
    const wanted = may && told.worker !== null;
    if (wanted && !button) {
      button = confirmed("Restart", `Restart ${told.name}`, () => restart(told.name));
      element.append(button);
    } else if (!wanted && button) {
      button.remove();
      button = null;
    }
  };
  return { element, update };
}

export class Chain {
  #rows = new Map();

  /** `restart(name)` gives a promise. */
  constructor(list, restart) {
    this.list = list;
    this.restart = restart;
    this.ties = new Ties();
    this.none = el("li", { class: "none" });
  }

  /** `may`: whether workers can be restarted from here. */
  update(camera, rings, workers, may) {
    const rows = flow(camera, rings, workers, this.ties);
    this.none.remove();
    sync(this.list, this.#rows, rows.map((told) => ({ row: told, may })), ({ row: { name, from } }) => `${name} ${from ?? ""}`, () => row(this.restart));
    setText(this.none, "No worker gives pictures of this camera.");
    if (rows.length === 0) this.list.append(this.none);
  }
}
