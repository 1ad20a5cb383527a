// Numbers as people read them. Pure.

const KIB = 1024;

/** Bytes, binary units: 1536 -> "1.5 KiB". */
export function bytes(count) {
  let value = count;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < KIB || unit === "GiB") {
      return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    }
    value /= KIB;
  }
}

/** An age in ms, short: tenths of a second below ten, then one unit: "0.1 s", "42 s", "3 min", "2 h". */
export function age(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 6_000) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** A span in seconds, its two largest units: "42 s", "3 min 05 s", "2 h 11 min", "4 d 3 h". */
export function span(seconds) {
  const total = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  if (total < 60) return `${total} s`;
  if (total < 3_600) return `${Math.floor(total / 60)} min ${two(total % 60)} s`;
  if (total < 86_400) return `${Math.floor(total / 3_600)} h ${two(Math.floor((total % 3_600) / 60))} min`;
  return `${Math.floor(total / 86_400)} d ${Math.floor((total % 86_400) / 3_600)} h`;
}

/** Frames a second. */
export function fps(rate) {
  if (rate === null || rate === undefined) return "– fps";
  return `${rate >= 9.95 ? Math.round(rate) : rate.toFixed(1)} fps`;
}

/** A count with thin separators: 1234567 -> "1 234 567". */
export function count(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** The time of day, here, of UTC nanoseconds. */
export function clock(utcNs) {
  return new Date(utcNs / 1e6).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}
