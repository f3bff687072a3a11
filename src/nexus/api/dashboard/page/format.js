/** How figures, times and ids are written. Pure. */

const whole = new Intl.NumberFormat("en");
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** @param {number} value */
export const count = (value) => whole.format(value);

/** A rate, with a digit behind the point while it is small. @param {number | null} value */
export function rate(value) {
  if (value === null) return "–";
  return value > 0 && value < 10 ? oneDigit.format(value) : whole.format(Math.round(value));
}

/** @param {number | null} value bytes, or bytes a second */
export function bytes(value) {
  if (value === null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit > 0 && size < 10 ? oneDigit.format(size) : whole.format(Math.round(size))} ${units[unit]}`;
}

/** @param {number} value */
export function seconds(value) {
  if (value < 60) return `${oneDigit.format(value)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
}

/** For an axis, where space is scarce. @param {number | null} value */
export const shortSeconds = (value) => ((value ?? 0) < 120 ? `${Number((value ?? 0).toFixed(1))} s` : `${Math.round((value ?? 0) / 6) / 10} min`);

/** An id of 16 hexadecimal digits by its first 8: they tell nodes apart. @param {string} id */
export const shortId = (id) => (/^[0-9a-f]{16,}$/.test(id) ? id.slice(0, 8) : id);

/** The clock's time here, of a moment in UTC. @param {string} iso */
export const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB");

/** @param {string} iso */
export const utc = (iso) => `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;

/** `host:port` of a URL, and its path where it has one. @param {string} url */
export const host = (url) => url.replace(/^https?:\/\//, "").replace(/\/$/, "");
