// The components of the page of one camera, each alone, with made-up data.

import { comment, record, restart } from "/assets/actions.js";
import { follow, here, Refused, sentEvents } from "/assets/api.js";
import { BoxBook, Boxes, boxesOf } from "/assets/boxes.js";
import { Chain, flow, Ties } from "/assets/chain.js";
import { confirmed } from "/assets/confirm.js";
import { hopName, Hops, shownHop } from "/assets/hops.js";
import { Links, linksOf } from "/assets/links.js";
import { followRing, Lately } from "/assets/records.js";
import { RemarkBox, tagsOf } from "/assets/remarks.js";
import { Screen } from "/assets/screen.js";
import { header, Lists } from "/assets/shell.js";
import { seat } from "/assets/seat.js";
import { token, tokenBox } from "/assets/token.js";
import { answering, equal, json, stage, test, until } from "./harness.js";

const HOSTILE = "<img src=x onerror=alert(1)>";
const worker = (name, pid, more = {}) => ({ name, kind: "ingest", pid, state: "running", why: "", restarts: 0, uptime_s: 65, last_exit: "", ...more });
const ring = (name, writer, readers = []) => ({ name, writer_pid: writer, readers });
const reader = (name, pid, more = {}) => ({ name, pid, lag: 0, missed: 0, ...more });

/* Questions and the token */

await test("an address is below the place the page is served at", () => {
  equal(here("/api/v1/about"), new URL("/api/v1/about", location.href).href);
  equal(here("snap/a.jpg"), new URL("/snap/a.jpg", location.href).href);
});

await test("server-sent events come whole, in pieces and with their ids", () => {
  const { events, rest } = sentEvents('id: 7-1\ndata: {"a":1}\n\n: nobody reads this\n\nevent: missed\ndata: 3\n\ndata: two\ndata: lines\n\nda');
  equal(events.map(({ name, id, data }) => [name, id, data]), [["message", "7-1", '{"a":1}'], ["missed", null, "3"], ["message", null, "two\nlines"]]);
  equal(rest, "da");
});

await test("a stream is followed from where it was left, and nobody who looks sends a token", async () => {
  const asked = [];
  token.hold("abc");
  const body = new Blob(['id: 1\ndata: "x"\n\n', 'data: "y"\n\n']);
  await answering((url, { headers }) => (url.includes("/live") ? asked.push(headers) && new Response(body) : null), async () => {
    const got = [];
    await follow("/api/v1/records/m.events/live", ({ data }) => got.push(JSON.parse(data)), { after: "0" });
    equal(got, ["x", "y"]);
  });
  token.forget();
  equal(asked, [{ Accept: "text/event-stream", "Last-Event-ID": "0" }]);
});

await test("a token is held until it is forgotten, and is never left in an address", () => {
  let told = 0;
  const count = () => { told += 1; };
  token.addEventListener("change", count);
  equal([token.hold("a b"), token.hold(HOSTILE), token.held], [false, false, ""]);
  equal(token.takeFrom("http://h/camera?name=a#token=s3.cret"), "http://h/camera?name=a");
  equal([token.held, sessionStorage.getItem("framevisor-token")], ["s3.cret", "s3.cret"]);
  equal(token.takeFrom("http://h/#other=1"), null);
  token.forget();
  token.removeEventListener("change", count);
  equal([token.held, sessionStorage.getItem("framevisor-token"), told], ["", null, 2]);
});

await test("the box of the token takes one, refuses what cannot be one, and forgets it", () => {
  tokenBox(stage);
  const [button, form, input] = [stage.querySelector("button"), stage.querySelector("form"), stage.querySelector("input")];
  equal([form.hidden, input.type, button.getAttribute("aria-expanded")], [true, "password", "false"]);
  button.click();
  input.value = "not one";
  form.requestSubmit();
  equal([form.hidden, token.held, stage.querySelector("[role=status]").textContent.startsWith("A token has")], [false, "", true]);
  input.value = "one";
  form.requestSubmit();
  equal([form.hidden, token.held, button.textContent, input.value], [true, "one", "Token: held", ""]);
  stage.querySelector("[data-do=forget]").click();
  equal([token.held, button.textContent], ["", "Token"]);
});

await test("what changes something is asked for with the token, and by the name alone", async () => {
  const asked = [];
  token.hold("good");
  const answer = (url, { method, headers, body }) => {
    if (method !== "POST") return null;
    asked.push([new URL(url).pathname, headers.Authorization, body]);
    return url.includes("held") ? json({ error: { code: "no", text: "cam1 is held", hint: "framevisor why cam1" } }, 409) : json({});
  };
  await answering(answer, async () => {
    await restart("a/../b");
    await comment("cam1", { text: "hi", tags: [] });
    await record("cam1", "stop");
    const refused = await restart("held").catch((error) => error);
    equal([refused instanceof Refused, refused.message, refused.hint, token.held], [true, "cam1 is held", "framevisor why cam1", "good"]);
  });
  await answering((url, { method }) => (method === "POST" ? json({ error: { text: "nobody bears this token" } }, 401) : null), async () => {
    const refused = await restart("cam1").catch((error) => error.message);
    equal([refused, token.held], ["nobody bears this token", ""]);
  });
  equal(asked, [
    ["/api/v1/workers/a%2F..%2Fb/restart", "Bearer good", "{}"],
    ["/api/v1/cameras/cam1/comments", "Bearer good", '{"text":"hi","tags":[]}'],
    ["/api/v1/cameras/cam1/recording", "Bearer good", '{"order":"stop"}'],
    ["/api/v1/workers/held/restart", "Bearer good", "{}"]]);
});

await test("a button that changes something asks first, and says what came of it", async () => {
  let done = 0;
  let fails = false;
  const button = confirmed("Restart", "Restart cam1", async () => {
    done += 1;
    if (fails) throw new Refused(409, { text: "cam1 is held" });
  });
  stage.append(button);
  button.click();
  equal([done, button.textContent], [0, "Sure?"]);
  button.click();
  await until("the end", () => button.textContent === "Done");
  button.click();
  fails = true;
  button.click();
  await until("a failure", () => button.textContent === "Failed");
  equal([done, button.getAttribute("aria-label"), button.title], [2, "Restart cam1: cam1 is held", "cam1 is held"]);
});

/* The shell */

await test("the header says where it is, on a page and below one", async () => {
  const bar = document.createElement("header");
  const title = document.title;
  stage.append(bar);
  await answering((url) => (url.includes("about") ? json({ project: HOSTILE }) : null), async () => {
    header(bar, { title: "cam1", place: "Live" });
    await until("the project's name", () => bar.querySelector(".project").textContent === HOSTILE);
  });
  equal([...bar.querySelectorAll("nav a")].map((link) => [link.textContent, link.getAttribute("aria-current")]),
    [["Live", "true"], ["Recordings", null], ["System", null]]);
  equal([document.title, stage.querySelectorAll("img[src=x]").length], [`cam1 · ${HOSTILE} · framevisor`, 0]);
  document.title = title;
});

await test("lists that fail are said once, until they are well again", async () => {
  let fails = true;
  const notice = document.createElement("p");
  const lists = new Lists(notice);
  const answer = (url) => (url.includes("made-up") ? (fails ? json({ error: { text: "no", hint: "wait" } }, 503) : json([1])) : null);
  await answering(answer, async () => {
    let got = null;
    lists.follow(10, () => "/api/v1/made-up/a", (list) => { got = list; });
    lists.follow(10, () => "/api/v1/made-up/b", () => {});
    lists.follow(10, () => null, () => { throw new Error("asked without a path"); });
    await until("trouble", () => notice.textContent === "no. wait" && !notice.hidden);
    fails = false;
    await until("no trouble", () => notice.hidden && got !== null);
    lists.close();
  });
});

/* The picture and the boxes over it */

await test("a player that is seated tells of each picture once, and why there is none", async () => {
  const [element, video, image] = ["div", "video", "img"].map((tag) => document.createElement(tag));
  image.hidden = true;
  const player = { element, video, image, on: false, state: "waiting", why: "no key frame yet", title: "video", ageMs: null, picture: null };
  const told = { shown: [], unnamed: [], why: [] };
  const seated = seat(player, stage, { ring: () => "a.packets", wall: () => 5_000, shown: (one) => told.shown.push(one), unnamed: (one) => told.unnamed.push(one), why: (text) => told.why.push(text) });
  await until("why", () => told.why.length === 1);
  Object.assign(player, { state: "playing", picture: { epoch: "5", sequence: 7, captureMs: 4_900 } });
  await until("a picture", () => told.shown.length === 1 && told.why.length === 2);
  equal(told.shown[0], { ring: "a.packets", epoch: "5", sequence: 7, captureMs: 4_900, ageMs: 100, width: 0, height: 0 });
  // A clock that is ahead makes no age below nothing.
  player.picture = { epoch: "5", sequence: 8, captureMs: 9_000 };
  await until("the next one", () => told.shown.length === 2);
  equal([told.shown[1].ageMs, told.why, player.on, seated.transport, element.isConnected], [0, ["no key frame yet", ""], true, "video", true]);
  // A way that does not say which picture it shows.
  equal(told.unnamed.length, 0);
  Object.assign(player, { ageMs: 30, picture: null });
  await until("that it plays", () => told.unnamed.length > 0);
  equal([told.unnamed[0], told.shown.length], [{ ageMs: 30, width: 0, height: 0 }, 2]);
  seated.close();
  equal([player.on, element.isConnected], [false, false]);
});

const about = (sequence, more = {}) => ({
  type: "motion.update", time_utc_ns: 1e9 + sequence * 4e7, frame: { ring: "a.packets", epoch: 5, sequence },
  data: { boxes: [{ x: 32, y: 9, w: 16, h: 18 }], width: 64, height: 36 }, ...more,
});
const picture = (sequence, more = {}) => ({ ring: "a.packets", epoch: "5", sequence: String(sequence), captureMs: 1e3 + sequence * 40, ageMs: 0, width: 64, height: 36, ...more });

await test("boxes are shares of the picture, whatever a record calls them", () => {
  equal(boxesOf(about(1).data), [{ x: 0.5, y: 0.25, w: 0.25, h: 0.5, label: "" }]);
  equal(boxesOf({ box: { x: 0.1, y: 0.2, width: 0.3, height: 0.4, class: "car", confidence: 0.876 } }), [{ x: 0.1, y: 0.2, w: 0.3, h: 0.4, label: "car 88 %" }]);
  equal([boxesOf(null), boxesOf({ boxes: "x" }), boxesOf({ boxes: [{ x: 1 }, null, { x: 0, y: 0, w: -1, h: 1 }] })], [[], [], []]);
});

await test("a box is a list of four too, in pixels of the picture shown where its record tells no size, with the record's words", () => {
  equal(boxesOf({ label: "lamp", score: 0.5, box: [10, 20, 90, 120] }), [{ x: 10, y: 20, w: 90, h: 120, label: "lamp 50 %", inPixels: true }]);
  equal(boxesOf({ label: "lamp", boxes: [[0.5, 0.5, 0.25, 1]] }), [{ x: 0.5, y: 0.5, w: 0.25, h: 1, label: "lamp" }]);
  equal(boxesOf({ boxes: [[32, 9, 16, 18]], width: 64, height: 36, score: 0.01 }), [{ x: 0.5, y: 0.25, w: 0.25, h: 0.5, label: "" }]);
  equal(boxesOf({ boxes: [[1, 2, 3], [1, 2, 0, 4]], label: "none" }), []);
});

await test("a box is drawn over the picture it is about, never over an earlier one, and not for long over later ones", () => {
  const book = new BoxBook();
  book.add("m.events", about(10));
  const exact = (shown) => book.at(shown).map(({ exact: is }) => is);
  equal([exact(picture(9)), exact(picture(10)), exact(picture(12)), exact(picture(40))], [[], [true], [false], []]);
  equal([exact(picture(10, { epoch: "6" })), exact(picture(10, { ring: "b.packets" }))], [[], []]);
  book.add("m.events", about(11, { data: { boxes: [], width: 64, height: 36 } }));
  equal([exact(picture(10)), exact(picture(11))], [[true], []]);
  book.add("m.events", about(12, { type: "motion.end" }));
  book.add("m.events", about(13, { frame: null }));
  equal(exact(picture(13)), []);
});

await test("boxes are drawn in the picture's own size, with labels as text", () => {
  const boxes = new Boxes(stage);
  boxes.book.add("m.events", about(10, { data: { boxes: [{ x: 0.5, y: 0.5, w: 0.25, h: 0.25, label: HOSTILE }] } }));
  boxes.show(picture(10));
  const rect = stage.querySelector("rect");
  equal([boxes.element.getAttribute("viewBox"), rect.getAttribute("x"), rect.getAttribute("width")], ["0 0 64 36", "32", "16"]);
  equal([stage.querySelector("text").textContent, stage.querySelectorAll("img").length], [HOSTILE, 0]);
  boxes.show(picture(9));
  equal(stage.querySelectorAll("rect").length, 0);
  boxes.book.add("m.events", about(11, { data: { box: [8, 9, 16, 18] } }));
  boxes.show(picture(11));
  equal(["x", "y", "width", "height"].map((side) => stage.querySelector("rect").getAttribute(side)), ["8", "9", "16", "18"]);
  boxes.on = false;
  equal(getComputedStyle(boxes.element).display === "none" || boxes.element.classList.contains("off"), true);
});

await test("a recorded picture has the boxes of its own record, by its id", async () => {
  const book = new BoxBook();
  const all = [0, 1, 2].map((n) => ({ at_s: n * 0.04, lasts_s: 0.04, epoch: 5, sequence: 10 + n }));
  const film = { utc: (at) => 1_400 + at * 1000, want: () => ({ at: 0 }), ends: () => false, close: () => {}, pictures: async () => ({ ring: "a.packets", pictures: all }) };
  const screen = new Screen("a", 0, null, { book, film: () => film });
  stage.append(screen.element);
  const count = () => stage.querySelectorAll(".boxes rect").length;
  book.add("m.events", about(11));
  const at = async (place) => {
    screen.follower.place = place;
    await screen.mark(0);
    return count();
  };
  equal([await at(0.04), stage.querySelector(".boxes g").getAttribute("class")], [1, "exact"]);
  equal([await at(0.08), stage.querySelector(".boxes g").getAttribute("class")], [1, "held"]);
  equal([await at(0), await at(0.04)], [0, 1]);
  // One that is not in the list is nobody's, and leaves what there is.
  equal(await at(0.2), 1);
  screen.follower.why = "Packets were lost";
  equal(await at(0.041), 0);
  screen.close();
  equal(stage.children.length, 0);
});

await test("records are followed ring by ring, and taken up where they ended", async () => {
  const asked = [];
  const got = [];
  let streams = 0;
  const answer = (url, { headers }) => {
    if (!url.includes("/records/")) return null;
    asked.push([new URL(url).pathname, headers["Last-Event-ID"] ?? null]);
    streams += 1;
    return streams === 1 ? new Response('id: 7-1\ndata: {"n":1}\n\nevent: missed\ndata: 4\n\n') : json({ error: { text: "busy" } }, 503);
  };
  await answering(answer, () => followRing("m.events", (ring, record) => got.push([ring, record.n]), () => streams < 2));
  equal([asked, got], [[["/api/v1/records/m.events/live", null], ["/api/v1/records/m.events/live", "7-1"]], [["m.events", 1]]]);
});

await test("of what happened lately each thing has its begin and its newest record", () => {
  const lately = new Lately({ max: 2 });
  const told = (id, s, type = "motion.update") => lately.add("m.events", { id, type, time_utc_ns: s * 1e9 });
  told("a", 1, "motion.begin");
  told("b", 2);
  [3, 5, 4].forEach((s) => told("a", s));
  const seen = () => lately.records.map(({ ring, id, time_utc_ns: ns }) => [ring, id, ns / 1e9]);
  equal(seen(), [["m.events", "a", 5], ["m.events", "b", 2], ["m.events", "a", 1]]);
  told("c", 6);
  equal(seen().map(([, id]) => id), ["c", "a", "a"]);
});

/* The chain of workers */

const CHAIN = [
  ring("a.packets", 1, [reader("rec", 2), reader("a-decode", 3)]), ring("a.frames", 3, [reader("motion", 4), reader("notebook", 99, { lag: 7, missed: 2 })]),
  ring("motion.events", 4), ring("b.packets", 5, [reader("rec", 2)])];
const CREW = [worker("a", 1), worker("rec", 2, { kind: "recorder" }), worker("a-decode", 3), worker("motion", 4), worker("b", 5)];

await test("a camera's chain goes from its ingest through all that read it", () => {
  const rows = flow("a", CHAIN, CREW, new Ties());
  equal(rows.map(({ depth, name, from, gives }) => [depth, name, from, gives]), [
    [0, "a", null, ["a.packets"]], [1, "rec", "a.packets", []], [1, "a-decode", "a.packets", ["a.frames"]],
    [2, "motion", "a.frames", ["motion.events"]], [2, "notebook", "a.frames", []]]);
  equal([rows[4].worker, rows[4].lag, rows[4].missed], [null, 7, 2]);
  equal(flow("c", CHAIN, CREW, new Ties()), []);
});

await test("a worker that is down keeps its place in the chain", () => {
  const ties = new Ties();
  flow("a", CHAIN, CREW, ties);
  const down = CREW.map((one) => (["a-decode", "motion"].includes(one.name) ? { ...one, pid: null, state: "backoff" } : one));
  const left = [ring("a.packets", 1, [reader("rec", 2)]), ring("a.frames", null, [])];
  equal(flow("a", left, down, ties).map(({ depth, name }) => [depth, name]), [[0, "a"], [1, "rec"], [1, "a-decode"], [2, "motion"]]);
  // Before the page was opened: by their names.
  const unknown = flow("a", [], [worker("a", null, { state: "held" }), worker("a-decode", null), worker("ab", 4)], new Ties());
  equal(unknown.map(({ name }) => name), ["a", "a-decode"]);
});

await test("a ring that is read and written in a circle is told once", () => {
  const circle = [ring("a.packets", 1, [reader("x", 2)]), ring("a.x.packets", 2, [reader("a", 1)])];
  equal(flow("a", circle, [worker("a", 1), worker("x", 2)], new Ties()).map(({ name, from }) => [name, from]), [["a", null], ["x", "a.packets"], ["a", "a.x.packets"]]);
});

await test("restart buttons are there with a token only, and for workers only", async () => {
  const restarted = [];
  const list = document.createElement("ol");
  stage.append(list);
  const chain = new Chain(list, async (name) => { restarted.push(name); });
  chain.update("a", CHAIN, CREW, false);
  equal([list.children.length, list.querySelectorAll("button").length], [5, 0]);
  chain.update("a", CHAIN, CREW, true);
  equal([...list.querySelectorAll("button")].map((button) => button.getAttribute("aria-label")),
    ["Restart a", "Restart rec", "Restart a-decode", "Restart motion"]);
  const button = list.querySelectorAll("button")[3];
  button.click();
  chain.update("a", CHAIN, CREW, true);
  equal(button.isConnected, true);
  button.click();
  await until("a restart", () => restarted.length === 1);
  equal(restarted, ["motion"]);
  chain.update("nobody", [], [], true);
  equal(list.textContent, "No worker gives pictures of this camera.");
});

await test("names and reasons of workers are text", () => {
  const list = document.createElement("ol");
  stage.append(list);
  new Chain(list, () => {}).update("a", [ring("a.packets", 1, [reader(HOSTILE, 7)])], [worker("a", 1, { why: HOSTILE, state: "degraded" })], true);
  equal([list.querySelectorAll("img").length, list.textContent.split(HOSTILE).length], [0, 3]);
});

/* Links and latency */

await test("links are what other programs need, by the page's own address", () => {
  const row = { name: "a", packets: "a.packets", frames: "a.frames", snapshot: "/snap/a.jpg" };
  const address = (path) => `http://box:81/fv${path}`;
  const workers = [{ kind: "rtsp", listen: ["0.0.0.0:8554", "[::1]:322"] }, { kind: "web", listen: ["127.0.0.1:81"] }, { kind: "rtsp" }];
  equal(linksOf(row, workers, address).map(({ text }) => text), [
    "rtsp://box:8554/a", "rtsps://[::1]:322/a", "http://box:81/fv/hls/a/index.m3u8", "http://box:81/fv/mjpeg/a", "http://box:81/fv/snap/a.jpg", "a.packets", "a.frames"]);
  equal(linksOf({ name: "b", packets: "b.packets", frames: null, snapshot: null }, [], address).map(({ what }) => what), ["HLS", "Ring"]);
});

await test("a link is copied, or says how it can be", async () => {
  const list = document.createElement("ul");
  stage.append(list);
  const links = new Links(list);
  links.update([{ what: "Ring", text: HOSTILE, note: "" }]);
  const kept = list.firstElementChild;
  links.update([{ what: "Ring", text: HOSTILE, note: "" }]);
  equal([list.firstElementChild === kept, list.querySelector("code").textContent, list.querySelectorAll("img").length], [true, HOSTILE, 0]);
  list.querySelector("button").click();
  await until("an answer", () => /^(copied|select and copy it)$/.test(list.querySelector("[role=status]").textContent));
});

await test("latency is told hop by hop, the longest fills its bar", () => {
  const hops = new Hops(stage);
  equal(stage.querySelector(".empty").textContent, "Nothing came through so far.");
  const hop = (from, to, median, more = {}) => ({ ring: "a.packets", from, to, median_ms: median, p99_ms: 2 * median, count: 9, ...more });
  hops.update([hop("capture", "ingest", 40), hop("ingest", "published", 0.12), shownHop([{ ageMs: 90 }, { ageMs: NaN }, { ageMs: 110 }, { ageMs: 100 }])]);
  equal([...stage.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td.number")].map((cell) => cell.textContent)),
    [["40 ms", "80 ms"], ["0.1 ms", "0.2 ms"], ["100 ms", "110 ms"]]);
  equal([...stage.querySelectorAll(".hop-bar i")].map((bar) => bar.style.width), ["40%", "0.12%", "100%"]);
  equal([hopName(hop("ingest", "decoded", 1)), shownHop([])], ["received → decoded (a.packets)", null]);
});

/* Comments */

await test("tags are words, each once", () => {
  equal(tagsOf(" car, #red;car  ##big "), ["car", "red", "big"]);
  equal(tagsOf(" , "), []);
});

await test("a comment is sent with its tags, and stays when it was refused", async () => {
  const sent = [];
  let fails = true;
  const send = async (remark) => {
    if (fails) throw new Refused(403, { text: "this token may not comment", hint: "ask for another" });
    sent.push(remark);
  };
  const box = new RemarkBox(stage, send);
  equal(stage.querySelector("form").hidden, true);
  box.may = true;
  [box.text.value, box.tags.value, box.who.value] = [" a red car ", "car red", "anna"];
  box.form.requestSubmit();
  await until("a refusal", () => box.said.textContent === "Not noted: this token may not comment; ask for another");
  equal(box.text.value, " a red car ");
  fails = false;
  box.form.requestSubmit();
  await until("thanks", () => box.said.textContent === "Noted.");
  equal([sent, box.text.value], [[{ text: "a red car", tags: ["car", "red"], author: "anna" }], ""]);
  // Who says nothing of himself is named by the token.
  [box.text.value, box.tags.value, box.who.value] = ["two", "", ""];
  box.form.requestSubmit();
  await until("the second", () => sent.length === 2);
  equal(sent[1], { text: "two", tags: [] });
  box.who.value = "anna";
  box.text.value = "three";
  box.form.requestSubmit();
  await until("the third", () => sent.length === 3);
  equal(new RemarkBox(stage, send).who.value, "anna");
  localStorage.removeItem("framevisor-author");
});
