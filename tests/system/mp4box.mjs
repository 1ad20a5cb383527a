// What mp4box.js makes of a file: node mp4box.mjs LIBRARY FILE, JSON on stdout.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [library, file] = process.argv.slice(2);
const { createFile, Log } = await import(pathToFileURL(library));

const said = [];
for (const level of ["warn", "error"]) {
  Log[level] = (...words) => said.push(words.map(String).join(" "));
}
const bytes = readFileSync(file);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
buffer.fileStart = 0;
const movie = createFile(true);
movie.onError = (module, message) => said.push(`${module}: ${message}`);
movie.appendBuffer(buffer);
movie.flush();

const { tracks, isFragmented, hasMoov } = movie.getInfo();
const told = tracks.map(({ id, codec, timescale, video, audio }) => {
  const samples = movie.getTrackSamplesInfo(id);
  return {
    id,
    codec,
    timescale,
    size: video && [video.width, video.height],
    rate: audio?.sample_rate,
    samples: samples.length,
    keys: samples.filter((sample) => sample.is_sync).length,
    // Every sample follows the one before it without a hole.
    is_continuous: samples.every(({ dts }, at) => at === 0 || dts === samples[at - 1].dts + samples[at - 1].duration),
    bytes: samples.reduce((sum, { size }) => sum + size, 0),
  };
});
const boxes = movie.boxes.map(({ type }) => type);
const entries = movie.moov.traks.map((trak) => trak.mdia.minf.stbl.stsd.entries[0].type);
console.log(JSON.stringify({ said, isFragmented, hasMoov, tracks: told, boxes, entries }));
