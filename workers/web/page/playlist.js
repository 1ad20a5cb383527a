// A playlist of a recording (docs/web.md, Playing a range) as a list of segments. Pure.

/** The value of an attribute of a tag, without its quotes. */
function attribute(line, name) {
  return line.match(new RegExp(`[:,]${name}=("[^"]*"|[^,]*)`))?.[1].replaceAll('"', "") ?? null;
}

/**
 * `url` is the playlist's own. Gives {segments, gaps, ended}: a segment has {url, init, at, lasts, key, utc,
 * behindGap}, `at` and `lasts` in seconds of the video, `utc` in ms.
 */
export function parse(text, url) {
  const segments = [];
  const gaps = [];
  let [init, next, ended] = [null, {}, false];
  for (const line of text.split("\n")) {
    if (line.startsWith("#EXT-X-MAP:")) init = new URL(attribute(line, "URI"), url).href;
    else if (line.startsWith("#EXT-X-DISCONTINUITY")) next.behindGap = true;
    else if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) next.utc = Date.parse(line.slice(25));
    else if (line.startsWith("#EXT-X-FRAMEVISOR-SEGMENT:")) {
      next.at = Number(attribute(line, "AT"));
      next.key = attribute(line, "KEY") === "YES";
    } else if (line.startsWith("#EXTINF:")) next.lasts = Number.parseFloat(line.slice(8));
    else if (line.startsWith("#EXT-X-DATERANGE:")) gaps.push(gap(line));
    else if (line.startsWith("#EXT-X-ENDLIST")) ended = true;
    else if (line && !line.startsWith("#")) {
      segments.push({ behindGap: false, ...next, init, url: new URL(line, url).href });
      next = {};
    }
  }
  return { segments, gaps, ended };
}

function gap(line) {
  const from = Date.parse(attribute(line, "START-DATE"));
  const to = from + Number(attribute(line, "DURATION")) * 1000;
  return { from, to, reason: attribute(line, "X-REASON"), missing: Number(attribute(line, "X-MISSING")) };
}

/** Index of the last segment for which `value` is not above `limit`; -1 when there is none. */
function newest(segments, value, limit) {
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value(segments[middle]) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Where in the video a time of day is: {index, at}; null when nothing was recorded then. */
export function locate(segments, utc) {
  const index = newest(segments, (segment) => segment.utc, utc);
  if (index < 0) return null;
  const [segment, next] = [segments[index], segments[index + 1]];
  const goesOn = next && !next.behindGap;
  const at = segment.at + (utc - segment.utc) / 1000;
  const end = segment.at + segment.lasts;
  if (at < end) return { index, at };
  // Clocks of two segments may differ by some ms.
  return goesOn ? { index, at: Math.max(segment.at, end - 0.001) } : null;
}

/** When the picture was captured that is at this place of the video, in ms; null when there is none. */
export function utcOf(segments, at) {
  // A picture's own time is told in whole us, and may lie a little before its segment.
  const index = newest(segments, (segment) => segment.at, at + 0.002);
  if (index < 0) return null;
  return segments[index].utc + (at - segments[index].at) * 1000;
}

/** Index of the segment to begin with, so that `index` can be decoded. */
export function keyBefore(segments, index) {
  let first = index;
  while (first > 0 && !segments[first].key && !segments[first].behindGap) first -= 1;
  return first;
}
