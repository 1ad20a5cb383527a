// Questions to this page's own server, each with a deadline, and streams of it.

import { token } from "./token.js";

const DEADLINE_MS = 5_000;
/** What is asked of a worker may take as long as the supervisor waits for it. */
const CHANGE_DEADLINE_MS = 30_000;
/** The server says something at least this often on a stream, if only that it is there. */
const SILENT_MS = 20_000;

/** Where the page lives: it may be below a path of a proxy. */
const BASE = new URL("../", import.meta.url);

/** The address of a path of this page's server. */
export const here = (path) => new URL(path.replace(/^\//, ""), BASE).href;

/** The server answered, but not with what was asked for. */
export class Refused extends Error {
  constructor(status, error) {
    super(error?.text ?? `status ${status}`);
    this.status = status;
    this.code = error?.code ?? "";
    this.hint = error?.hint ?? "";
  }
}

/** What went wrong, for people. */
export const trouble = (error) => (error instanceof Refused ? error.message : "The web worker does not answer; trying again.");

/** What a response that is not ok says. */
export async function refused(response) {
  const body = await response.json().catch(() => ({}));
  return new Refused(response.status, body.error);
}

/** The JSON at a path. */
export async function getJson(path) {
  const response = await fetch(here(path), { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!response.ok) throw await refused(response);
  return response.json();
}

/**
 * Has something changed, with the token: that alone, for who may look is told by other means. A token that nobody bears
 * is forgotten. What comes back is the answer's JSON, or null.
 */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json", ...(token.held ? { Authorization: `Bearer ${token.held}` } : {}) };
  const signal = AbortSignal.timeout(CHANGE_DEADLINE_MS);
  const response = await fetch(here(path), { method: "POST", headers, body: JSON.stringify(body ?? {}), signal });
  if (response.status === 401) token.forget();
  if (!response.ok) throw await refused(response);
  return response.json().catch(() => null);
}

/**
 * The newest picture at a path, as {blob, etag, ring, epoch, sequence, captureMs, ageMs}; `blob` is null when it
 * is still the one of `etag`.
 */
export async function getPicture(path, etag) {
  const headers = etag ? { "If-None-Match": etag } : {};
  const response = await fetch(here(path), { headers, cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) });
  const unchanged = response.status === 304;
  if (!response.ok && !unchanged) throw await refused(response);
  return {
    blob: unchanged ? null : await response.blob(),
    etag: response.headers.get("ETag"),
    ring: response.headers.get("Framevisor-Ring"),
    epoch: response.headers.get("Framevisor-Epoch"),
    sequence: response.headers.get("Framevisor-Sequence"),
    captureMs: Number(response.headers.get("Framevisor-Capture-Utc-Ns")) / 1e6,
    ageMs: Number(response.headers.get("Framevisor-Age-Ms")),
  };
}

/** Takes what is whole out of `text`, as server-sent events: {events: [{name, id, data}], rest}. */
export function sentEvents(text) {
  const parts = text.split("\n\n");
  const rest = parts.pop();
  const events = parts.map((part) => {
    const event = { name: "message", id: null, data: [] };
    for (const line of part.split("\n")) {
      const [field, value] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).replace(/^ /, "")];
      if (field === "event") event.name = value;
      else if (field === "id") event.id = value;
      else if (field === "data") event.data.push(value);
    }
    return { ...event, data: event.data.join("\n") };
  });
  return { events: events.filter(({ data }) => data !== ""), rest };
}

/**
 * Follows a path's server-sent events until it ends: `take({name, id, data})` for each. Unlike EventSource it
 * gives up a connection that is silent for too long, and says what was refused.
 */
export async function follow(path, take, { signal, after = null } = {}) {
  const silence = new AbortController();
  const headers = { Accept: "text/event-stream", ...(after ? { "Last-Event-ID": after } : {}) };
  let timer = setTimeout(() => silence.abort(), SILENT_MS);
  try {
    const both = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
    const response = await fetch(here(path), { headers, cache: "no-store", signal: both });
    if (!response.ok) throw await refused(response);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = "", part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
      const { events, rest } = sentEvents(text + part.value);
      text = rest;
      events.forEach(take);
    }
  } finally {
    clearTimeout(timer);
  }
}
