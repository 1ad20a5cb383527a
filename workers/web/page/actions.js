// What this page can have changed, with a token. Everything else of it only looks.

import { post } from "./api.js";

const of = (kind, name, deed) => `/api/v1/${kind}/${encodeURIComponent(name)}/${deed}`;

/** Ends a worker and starts it anew. */
export const restart = (worker) => post(of("workers", worker, "restart"));

/** Notes something about what is recorded of a camera at this moment: {text, tags}, and `author` if there is one. */
export const comment = (camera, remark) => post(of("cameras", camera, "comments"), remark);

/** Has a camera recorded ("start"), or not ("stop"), or as the topology says ("auto"). */
export const record = (camera, order) => post(of("cameras", camera, "recording"), { order });
