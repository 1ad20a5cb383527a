// What the tests of the page's components share. Each test has a stage of its own.

import { pause } from "/assets/poll.js";

export const stage = document.getElementById("stage");
const results = [];

export function equal(seen, wanted) {
  const [a, b] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`saw ${a}, wanted ${b}`);
}

export async function test(name, body) {
  stage.replaceChildren();
  try {
    await body();
    results.push(`ok ${name}`);
  } catch (error) {
    results.push(`FAILED ${name}: ${error.stack}`);
  }
}

export async function until(what, done) {
  for (let tries = 0; tries < 1500; tries += 1) {
    const value = await done();
    if (value) return value;
    // The page's own time runs ahead of the machine's, except while an answer is awaited.
    await fetch("/healthz", { cache: "no-store" });
    await pause(20);
  }
  throw new Error(`never: ${what}`);
}

/** `body` with another fetch: `answer(url, options)` gives a Response, or null for the real one. */
export async function answering(answer, body) {
  const real = globalThis.fetch;
  globalThis.fetch = async (url, options) => (await answer(String(url), options ?? {})) ?? real(url, options);
  try {
    return await body();
  } finally {
    globalThis.fetch = real;
  }
}

export const json = (value, status = 200) => new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });

/** Tells all that was tested, for who waits for "done". */
export function tell() {
  document.getElementById("result").textContent = `${results.join("\n")}\ndone`;
}
