// Questions to this page's own server, each with a deadline.

const DEADLINE_MS = 5_000;

/** The server answered, but not with what was asked for. */
export class Refused extends Error {
  constructor(status, error) {
    super(error?.text ?? `status ${status}`);
    this.status = status;
    this.hint = error?.hint ?? "";
  }
}

async function refused(response) {
  const body = await response.json().catch(() => ({}));
  return new Refused(response.status, body.error);
}

/** The JSON at a path. */
export async function getJson(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!response.ok) throw await refused(response);
  return response.json();
}

/**
 * The newest picture at a path, as {blob, etag, epoch, sequence, ageMs}; `blob` is null when it is
 * still the one of `etag`.
 */
export async function getPicture(path, etag) {
  const headers = etag ? { "If-None-Match": etag } : {};
  const response = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) });
  const unchanged = response.status === 304;
  if (!response.ok && !unchanged) throw await refused(response);
  return {
    blob: unchanged ? null : await response.blob(),
    etag: response.headers.get("ETag"),
    epoch: response.headers.get("Framevisor-Epoch"),
    sequence: response.headers.get("Framevisor-Sequence"),
    ageMs: Number(response.headers.get("Framevisor-Age-Ms")),
  };
}
