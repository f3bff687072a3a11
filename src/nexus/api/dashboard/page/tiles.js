/** The few figures that are looked at first. */

import { element } from "./dom.js";
import { count, seconds, shortId } from "./format.js";
import { healthOf, lagOf, masterOf, stateOf, votersOf, answers } from "./state.js";

/** @param {HTMLElement} list @param {import("./state.js").State} state */
export function showTiles(list, state) {
  const master = masterOf(state);
  const status = master?.figures?.status ?? [...state.nodes.values()].find(answers)?.figures?.status;
  const lag = lagOf(state);
  const voters = votersOf(state);
  const there = [...voters].filter((id) => state.nodes.has(id) && answers(/** @type {any} */ (state.nodes.get(id)))).length;
  const nodes = [...state.nodes.values()];
  const alive = nodes.filter(answers).length;
  const health = healthOf(state);
  list.replaceChildren(
    tile("Master", master ? shortId(master.node_id) : "none", master ? stateOf(master).word : "writes wait", "master", master ? null : "bad", master?.node_id),
    tile("Epoch", status ? count(status.epoch) : "–", status ? `offset ${count(status.wal_offset)}` : "", "epoch"),
    tile("Mode", status?.mode ?? "–", status?.mode === "sync" ? "a quorum holds each write" : "the master holds each write", "mode"),
    tile("Largest lag", lag.replicas ? `${count(lag.entries)}` : "–", lag.replicas ? `entries, ${seconds(lag.seconds)}` : "no replica answers", "largest-lag"),
    tile("Failovers", status ? count(status.failovers) : "–", status ? (status.auto_failover && voters.size ? "a dead master is replaced" : "an operator promotes") : "", "failovers"),
    voters.size
      ? tile("Voters", `${there} of ${voters.size}`, there > voters.size / 2 ? "a majority answers" : "no majority answers", "voters", there > voters.size / 2 ? null : "bad")
      : tile("Nodes", `${alive} of ${nodes.length}`, health.words.toLowerCase(), "voters", alive < nodes.length ? "bad" : null),
    ...(status?.archive ? [archiveTile(status.archive)] : []),
  );
}

/** @param {import("./state.js").Archive} archive */
function archiveTile({ offset, lag, lag_seconds, last_error }) {
  const note = last_error ? "needs a hand" : lag ? `${count(lag)} entries, ${seconds(lag_seconds)} behind` : "has every commit";
  return tile("Archived up to", count(offset), note, "archive", last_error ? "bad" : null, last_error || undefined);
}

/** @param {string} term @param {string} figure @param {string} note @param {string} name @param {string | null} [tone] @param {string} [title] */
function tile(term, figure, note, name, tone = null, title = undefined) {
  return element(
    "div",
    { class: "tile" },
    element("dt", {}, term),
    element("dd", { "data-tone": tone, "data-tile": name, title }, figure),
    element("dd", {}, note),
  );
}
