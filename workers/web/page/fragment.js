// What a fragment says of its picture (docs/recording.md has the table of its first box). Pure.

const text = new TextDecoder("latin1");

/** The boxes within bytes `from` to `to` as {kind, from, to}, `from` behind the header. */
function boxes(view, from, to) {
  const found = [];
  for (let at = from; at + 8 <= to;) {
    const size = view.getUint32(at);
    if (size < 8 || at + size > to) break;
    found.push({ kind: text.decode(new Uint8Array(view.buffer, view.byteOffset + at + 4, 4)), from: at + 8, to: at + size });
    at += size;
  }
  return found;
}

/**
 * The picture of a fragment as {epoch, sequence, captureMs, at}: which packet it is, when it was taken, and where it is
 * shown on the clock of the fragments, in s. `track` is its number in the file, `ticks` its ticks a second. Null when it
 * has none, or is no fragment of ours.
 */
export function picture(bytes, track, ticks) {
  const view = new DataView(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength);
  const outer = boxes(view, 0, view.byteLength);
  const uuid = outer.find((box) => box.kind === "uuid");
  const moof = outer.find((box) => box.kind === "moof");
  if (!uuid || !moof) return null;
  const id = identity(view, uuid, track - 1);
  const at = shown(view, moof, track);
  return id && at !== null ? { ...id, at: at / ticks } : null;
}

/** Of the last packet of a track; packets before it may be sound. */
function identity(view, { from, to }, index) {
  const fixed = from + 16; // behind the type
  if (fixed + 32 > to || view.getUint8(fixed) !== 1) return null;
  const [name, count] = [view.getUint16(fixed + 2), view.getUint32(fixed + 4)];
  const tracks = fixed + 32 + name;
  if (tracks + count > to) return null;
  for (let place = count - 1; place >= 0; place -= 1) {
    if (view.getUint8(tracks + place) !== index) continue;
    const [epoch, first] = [view.getBigUint64(fixed + 8), view.getBigUint64(fixed + 16)];
    const captureMs = Number(view.getBigUint64(fixed + 24) / 1000n) / 1000;
    return { epoch: String(epoch), sequence: Number(first) + place, captureMs };
  }
  return null;
}

/** Presentation time of the last sample of a track, in ticks. */
function shown(view, moof, track) {
  for (const traf of boxes(view, moof.from, moof.to).filter((box) => box.kind === "traf")) {
    const inner = boxes(view, traf.from, traf.to);
    const [tfhd, tfdt, trun] = ["tfhd", "tfdt", "trun"].map((kind) => inner.find((box) => box.kind === kind));
    if (!tfhd || !tfdt || !trun || view.getUint32(tfhd.from + 4) !== track) continue;
    const long = view.getUint8(tfdt.from) === 1;
    const begin = long ? Number(view.getBigUint64(tfdt.from + 4)) : view.getUint32(tfdt.from + 4);
    return begin + lastSample(view, trun);
  }
  return null;
}

/** How much later than the first decode time the last sample of a run is shown, in ticks. */
function lastSample(view, { from }) {
  const flags = view.getUint32(from) & 0xffffff;
  const count = view.getUint32(from + 4);
  let at = from + 8 + (flags & 0x1 ? 4 : 0) + (flags & 0x4 ? 4 : 0);
  let [decoded, offset] = [0, 0];
  for (let sample = 0; sample < count; sample += 1) {
    const lasts = flags & 0x100 ? view.getUint32(at) : 0;
    if (flags & 0x100) at += 4;
    if (flags & 0x200) at += 4;
    if (flags & 0x400) at += 4;
    offset = flags & 0x800 ? view.getInt32(at) : 0;
    if (flags & 0x800) at += 4;
    if (sample < count - 1) decoded += lasts;
  }
  return decoded + offset;
}
