/** Rates out of counters: two looks at a node, and the time between them. Pure. */

import { shortId } from "./format.js";
import { LATE_S, masterOf } from "./state.js";

export const WINDOW_S = 300;
const CALM_S = 3;

/** @typedef {"commits" | "entries" | "bytes"} Rate */

/** @typedef {{time: number, commits: number | null, entries: number | null, bytes: number | null, lags: Record<string, number>}} Sample */

/** The last five minutes, sample by sample. */
export class Rates {
  constructor() {
    /** @type {Sample[]} */
    this.samples = [];
    /** @type {{id: string, at: number, commits: number, entries: number, bytes: number} | null} */
    this.before = null;
  }

  /** Take a sample of this state. @param {import("./state.js").State} state @param {number} now seconds since 1970 */
  take(state, now) {
    const master = masterOf(state);
    const stats = master?.figures?.master_stats;
    const status = master?.figures?.status;
    /** @type {Sample} */
    const sample = { time: now, commits: null, entries: null, bytes: null, lags: {} };
    for (const node of state.nodes.values()) {
      if (node.figures && !node.error && ["replica", "witness"].includes(node.figures.status.role)) {
        sample.lags[node.node_id] = node.figures.status.lag_seconds;
      }
    }
    if (!master || !status) {
      this.before = null;
    } else {
      const seen = {
        id: master.node_id,
        at: (master.figures?.at_us ?? 0) / 1e6,
        commits: status.wal_offset,
        entries: stats?.entries_replicated ?? 0,
        bytes: stats?.bytes_sent ?? 0,
      };
      const before = this.before;
      if (before && before.id === seen.id) {
        // A node whose figures stand still is not sent again: its clock went on, though.
        const passed = seen.at > before.at ? seen.at - before.at : 0;
        for (const name of /** @type {const} */ (["commits", "entries", "bytes"])) {
          const more = seen[name] - before[name];
          sample[name] = passed > 0 && more >= 0 ? more / passed : more < 0 ? null : 0;
        }
      }
      this.before = seen;
    }
    this.samples.push(sample);
    while (this.samples.length && this.samples[0].time < now - WINDOW_S) this.samples.shift();
  }

  /** Each sample's mean with those of the seconds before it, which is calmer to read. @param {Rate} name @returns {(number | null)[]} */
  smooth(name) {
    let first = 0;
    return this.samples.map((last, place) => {
      while (this.samples[first].time < last.time - CALM_S) first += 1;
      if (last[name] === null) return null;
      const recent = this.samples.slice(first, place + 1).filter((one) => one[name] !== null);
      return recent.reduce((sum, one) => sum + (one[name] ?? 0), 0) / recent.length;
    });
  }

  /** @param {Rate} name */
  current(name) {
    return this.smooth(name).at(-1) ?? null;
  }

  /** The largest lag of the last look, and whose it is where several have one; null: no replica answers. */
  furthest() {
    const lags = Object.entries(this.samples.at(-1)?.lags ?? {}).sort(([, a], [, b]) => b - a);
    if (!lags.length) return null;
    const [id, most] = lags[0];
    if (lags.length === 1) return { seconds: most, of: "" };
    return { seconds: most, of: most < LATE_S ? "at most" : `at most, ${shortId(id)}` };
  }

  /** Whether anything was seen of this figure. @param {Rate} name */
  has(name) {
    return this.samples.some((one) => one[name] !== null);
  }
}
