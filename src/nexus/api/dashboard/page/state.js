/** What the page knows of the cluster, and what follows from it. Pure.
 *
 * @typedef {"ok" | "warn" | "bad" | "idle"} Tone
 * @typedef {{id: string, addr: string, http_url: string, voter: boolean, lag: number, lag_seconds: number, state: string, healthy: boolean}} Replica
 * @typedef {{role: string, mode: string, epoch: number, wal_offset: number, commit_offset: number, applied_offset: number, lag: number, lag_seconds: number, master_id: string, upstream_id?: string, master_url: string, state: string, paused: boolean, connected: boolean, running: boolean, failovers: number, auto_failover: boolean, cluster_id: string, has_database: boolean, last_error: string, apply_delay_ms: number, archive: Archive | null}} Status
 * @typedef {{url: string, offset: number, lag: number, lag_seconds: number, last_error: string}} Archive
 * @typedef {{current_offset: number, entries_replicated: number, bytes_sent: number}} MasterStats
 * @typedef {{members: {id: string, addr: string, voter: boolean, connected: boolean}[]}} Members
 * @typedef {{at_us: number, status: Status, master_stats: MasterStats | null, replicas: Replica[], members: Members | null}} Figures
 * @typedef {{node_id: string, url: string, addr: string, figures: Figures | null, error: string, refuses?: boolean}} NodeView
 * @typedef {{id: number, time: string, kind: string, level: string, epoch: number, offset: number, detail: string}} Happening
 * @typedef {{node_id: string, event: Happening}} ClusterEvent
 * @typedef {{seenBy: string, may: string, nodes: Map<string, NodeView>, events: ClusterEvent[]}} State
 * @typedef {{from: string, to: string, voter: boolean, tone: Tone, flows: boolean, broken: boolean, label: string}} Stream
 */

import { seconds } from "./format.js";

export const MOST_EVENTS = 300;

/** A replica that is further behind is worth a colour. */
export const LATE_S = 5;

/** @returns {State} */
export const nothing = () => ({ seenBy: "", may: "read", nodes: new Map(), events: [] });

/** The state after one message of the stream. @param {State} state @param {string} name @param {any} data */
export function after(state, name, data) {
  switch (name) {
    case "cluster":
      return { ...state, seenBy: data.seen_by, may: data.may ?? "admin", nodes: new Map(data.nodes.map((/** @type {NodeView} */ node) => [node.node_id, node])) };
    case "node":
      return { ...state, nodes: new Map(state.nodes).set(data.node_id, data) };
    case "gone": {
      const nodes = new Map(state.nodes);
      nodes.delete(data);
      return { ...state, nodes };
    }
    case "happened":
      return { ...state, events: withEvent(state.events, data) };
    default:
      return state;
  }
}

/** Newest first, each once. @param {ClusterEvent[]} events @param {ClusterEvent} added */
function withEvent(events, added) {
  const isSame = (/** @type {ClusterEvent} */ one) => one.node_id === added.node_id && one.event.id === added.event.id;
  if (events.some(isSame)) return events;
  const place = events.findIndex((one) => one.event.id <= added.event.id);
  const at = place < 0 ? events.length : place;
  return [...events.slice(0, at), added, ...events.slice(at)].slice(0, MOST_EVENTS);
}

/** @param {State} state @returns {NodeView[]} the master first, the others by id */
export function nodesOf(state) {
  const order = (/** @type {NodeView} */ node) => (reigns(node) ? "0" : "1") + node.node_id;
  return [...state.nodes.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** Whether whoever looks may act. @param {State} state */
export const mayAct = (state) => state.may === "admin";

/** @param {NodeView} node */
export const answers = (node) => node.figures !== null && node.error === "";

/** @param {NodeView} node */
export const reigns = (node) => answers(node) && ["master", "standalone"].includes(node.figures?.status.role ?? "");

/** The node that takes writes, of the highest epoch where two say so. @param {State} state */
export function masterOf(state) {
  const found = [...state.nodes.values()].filter(reigns);
  return found.sort((a, b) => (b.figures?.status.epoch ?? 0) - (a.figures?.status.epoch ?? 0))[0] ?? null;
}

/** @param {State} state */
export function votersOf(state) {
  const views = [masterOf(state), ...state.nodes.values()];
  const members = views.find((node) => node && answers(node) && node.figures?.members)?.figures?.members;
  return new Set(members?.members.filter((one) => one.voter).map((one) => one.id) ?? []);
}

/** @param {NodeView} node @param {boolean} votes whether the cluster's voters include it */
export function roleOf(node, votes) {
  const role = node.figures?.status.role ?? "unknown";
  if (role === "master" && !answers(node)) return "was master";
  return role === "replica" && votes ? "replica, voter" : role;
}

/** What a node's state is called, and how it looks. @param {NodeView} node @returns {{word: string, tone: Tone}} */
export function stateOf(node) {
  const status = node.figures?.status;
  if (node.refuses) return { word: "refuses", tone: "warn" };
  if (!answers(node) || !status) return { word: "does not answer", tone: "bad" };
  if (!status.running) return { word: "failed", tone: "bad" };
  if (status.paused) return { word: "paused", tone: "warn" };
  if (reigns(node)) return { word: "takes writes", tone: "ok" };
  const word = status.state.replace("_", " ");
  const well = (status.has_database || status.role === "witness") && !status.last_error;
  if (status.state === "streaming") return { word, tone: well ? "ok" : "warn" };
  return { word, tone: ["reconnecting", "stopped"].includes(status.state) ? "bad" : "warn" };
}

/** What is wrong with a node, or with its archive; empty: nothing. @param {NodeView} node */
export function troubleOf(node) {
  if (node.error) return node.error;
  const { last_error = "", archive = null } = node.figures?.status ?? {};
  return [last_error, archive?.last_error && `archive: ${archive.last_error}`].filter(Boolean).join("; ");
}

/** The node that lets this page not in, and that others follow. @param {State} state */
function refusingMaster(state) {
  const followed = new Set([...state.nodes.values()].filter((node) => answers(node) && node.figures?.status.connected).map((node) => node.figures?.status.master_id));
  return [...state.nodes.values()].find((node) => node.refuses && followed.has(node.node_id));
}

/** One line for the whole cluster. @param {State} state @returns {{words: string, tone: Tone}} */
export function healthOf(state) {
  const nodes = [...state.nodes.values()];
  const masters = nodes.filter(reigns).filter((node) => node.figures?.status.role === "master");
  const silent = nodes.filter((node) => !answers(node) && !node.refuses).length;
  if (!masterOf(state)) return refusingMaster(state) ? { words: "The master refuses its figures", tone: "warn" } : { words: "No master: writes wait", tone: "bad" };
  if (masters.length > 1) return { words: "Two masters", tone: "bad" };
  if (silent) return { words: `${nodes.length - silent} of ${nodes.length} nodes answer`, tone: "bad" };
  if (nodes.some((node) => stateOf(node).tone === "bad")) return { words: "A node needs a hand", tone: "bad" };
  if (nodes.some((node) => troubleOf(node))) return { words: "A node needs a hand", tone: "warn" };
  if (nodes.some((node) => stateOf(node).tone === "warn")) return { words: "Busy", tone: "warn" };
  return { words: "All well", tone: "ok" };
}

/** The largest lag of the replicas that answer. @param {State} state */
export function lagOf(state) {
  const found = [...state.nodes.values()].filter((node) => answers(node) && !reigns(node));
  return {
    entries: Math.max(0, ...found.map((node) => node.figures?.status.lag ?? 0)),
    seconds: Math.max(0, ...found.map((node) => node.figures?.status.lag_seconds ?? 0)),
    replicas: found.length,
  };
}

/** Who streams to whom, and how that goes. @param {State} state @returns {Stream[]} */
export function streamsOf(state) {
  /** @type {Stream[]} */
  const streams = [];
  const voters = votersOf(state);
  for (const node of nodesOf(state).filter(answers)) {
    for (const replica of node.figures?.replicas ?? []) {
      const end = state.nodes.get(replica.id);
      const elsewhere = end && answers(end) && upstreamOf(end) !== node.node_id && !reigns(node);
      if (!end || replica.id === node.node_id || elsewhere) continue;
      streams.push(streamTo(node, end, { ...replica, voter: replica.voter || voters.has(replica.id) }, voters.size > 0));
    }
  }
  const master = masterOf(state);
  const fed = new Set(streams.map((stream) => stream.to));
  for (const node of state.nodes.values()) {
    if (!master || node === master || fed.has(node.node_id)) continue;
    const voter = voters.has(node.node_id);
    streams.push({ from: master.node_id, to: node.node_id, voter, tone: "bad", flows: false, broken: true, label: "no stream" });
  }
  return streams;
}

/** Whom a node follows: the master, or a replica of its. @param {NodeView} node */
const upstreamOf = ({ figures }) => figures?.status.upstream_id || figures?.status.master_id;

/** @param {NodeView} from @param {NodeView} to @param {Replica} replica @param {boolean} votes @returns {Stream} */
function streamTo(from, to, replica, votes) {
  // Where nobody votes, any replica counts for the quorum.
  const mode = from.figures?.status.mode === "sync" && (replica.voter || !votes) ? "sync" : "async";
  const status = answers(to) ? to.figures?.status : undefined;
  const base = { from: from.node_id, to: to.node_id, voter: replica.voter };
  if ((!status && !to.refuses) || replica.state === "reconnecting") {
    return { ...base, tone: "bad", flows: false, broken: true, label: "broken" };
  }
  if (from.figures?.status.paused || replica.state === "paused") {
    return { ...base, tone: "warn", flows: false, broken: false, label: "paused" };
  }
  if (status?.state === "full_sync") return { ...base, tone: "warn", flows: true, broken: false, label: "full sync" };
  const tone = replica.healthy && (status ?? replica).lag_seconds < LATE_S ? "ok" : "warn";
  return { ...base, tone, flows: true, broken: false, label: `${mode}${status ? progressOf(status) : ""}` };
}

/** What a delayed replica holds back on purpose is no lag. @param {Status} status */
function progressOf(status) {
  if (status.role === "witness") return "";
  if (status.lag > 0) return ` · ${status.lag.toLocaleString("en")} behind`;
  return status.apply_delay_ms ? ` · delayed ${seconds(status.apply_delay_ms / 1000)}` : " · up to date";
}

/** The URLs of the other nodes, those that answer first. @param {State} state */
export function othersOf(state) {
  const others = [...state.nodes.values()].filter((node) => node.node_id !== state.seenBy && node.url);
  return others.sort((a, b) => Number(answers(b)) - Number(answers(a)));
}
