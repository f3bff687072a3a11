import assert from "node:assert/strict";
import { test } from "node:test";

import { after, healthOf, lagOf, masterOf, mayAct, MOST_EVENTS, nodesOf, nothing, othersOf, roleOf, stateOf, streamsOf, troubleOf, votersOf } from "../../../../src/nexus/api/dashboard/page/state.js";
import { replica, view, voters } from "./cluster.js";

const of = (/** @type {any[]} */ ...nodes) => after(nothing(), "cluster", { seen_by: nodes[0].node_id, nodes });
const event = (/** @type {number} */ id, node = "a") => ({ node_id: node, event: { id, time: "", kind: "paused", level: "info", detail: "" } });

test("a node that changes takes its old place, and one that is gone none", () => {
  let state = of(view("a", "master"), view("b", "replica"));
  state = after(state, "node", view("b", "replica", { epoch: 9 }));
  assert.equal(state.nodes.get("b")?.figures?.status.epoch, 9);
  state = after(state, "gone", "b");
  assert.deepEqual([...state.nodes.keys()], ["a"]);
  assert.equal(after(state, "looked", null), state);
});

test("events stand newest first, each once, and the oldest are dropped", () => {
  let state = of(view("a", "master"));
  for (const id of [5, 9, 7, 9]) state = after(state, "happened", event(id));
  assert.deepEqual(state.events.map((one) => one.event.id), [9, 7, 5]);
  state = after(state, "happened", event(9, "b"));
  assert.equal(state.events.length, 4);
  for (let id = 100; id < 100 + MOST_EVENTS; id += 1) state = after(state, "happened", event(id));
  assert.equal(state.events.length, MOST_EVENTS);
  assert.equal(state.events.at(-1)?.event.id, 100);
});

test("the master stands first, and of two the one of the higher epoch counts", () => {
  const state = of(view("a", "replica"), view("c", "master"), view("b", "master", { epoch: 7 }));
  assert.equal(masterOf(state)?.node_id, "b");
  assert.deepEqual(nodesOf(state).map((node) => node.node_id), ["b", "c", "a"]);
  assert.deepEqual(healthOf(state), { words: "Two masters", tone: "bad" });
});

test("a node that refuses its figures lives: neither silent nor without a master", () => {
  const refusing = { ...view("a", "master"), figures: null, error: "http://a:1 lives, and refuses its figures (401)", refuses: true };
  const follower = (/** @type {Record<string, any>} */ changes) => of(view("b", "replica", { connected: true, master_id: "a", ...changes }), refusing);
  assert.deepEqual(healthOf(follower({})), { words: "The master refuses its figures", tone: "warn" });
  assert.equal(healthOf(follower({ connected: false })).words, "No master: writes wait");
  assert.deepEqual(stateOf(refusing), { word: "refuses", tone: "warn" });
});

test("a stream to a node that refuses its figures flows", () => {
  const master = view("a", "master");
  master.figures.replicas = /** @type {any} */ ([replica("w", { voter: true })]);
  const witness = { ...view("w", "witness"), figures: null, error: "refuses", refuses: true };
  const state = of(master, witness);
  assert.deepEqual(streamsOf(state).map(({ broken, label, tone }) => ({ broken, label, tone })), [{ broken: false, label: "async", tone: "ok" }]);
  assert.deepEqual(healthOf(state), { words: "A node needs a hand", tone: "warn" });
});

test("whoever looks may act where the node says so, or says nothing of it", () => {
  const told = (/** @type {any} */ more) => mayAct(after(nothing(), "cluster", { seen_by: "a", nodes: [], ...more }));
  assert.equal(told({}), true);
  assert.equal(told({ may: "admin" }), true);
  assert.equal(told({ may: "write" }), false);
  assert.equal(told({ may: "read" }), false);
});

test("a master that does not answer is none", () => {
  const silent = { ...view("a", "master"), error: "gone" };
  const state = of(silent, view("b", "replica", { state: "electing" }));
  assert.equal(masterOf(state), null);
  assert.equal(healthOf(state).words, "No master: writes wait");
  assert.deepEqual(stateOf(silent), { word: "does not answer", tone: "bad" });
  assert.equal(roleOf(silent, true), "was master");
});

test("health names what is worst", () => {
  const master = view("a", "master");
  assert.deepEqual(healthOf(of(master, view("b", "replica"))), { words: "All well", tone: "ok" });
  assert.equal(healthOf(of(master, view("b", "replica", { paused: true }))).tone, "warn");
  assert.equal(healthOf(of(master, view("b", "replica", { state: "reconnecting" }))).words, "A node needs a hand");
  assert.equal(healthOf(of(master, { ...view("b", "replica"), error: "x" })).words, "1 of 2 nodes answer");
});

test("a node that has something to say is not drawn as well, and the cluster neither", () => {
  const full = view("b", "replica", { last_error: "the disk is full" });
  assert.deepEqual(stateOf(full), { word: "streaming", tone: "warn" });
  assert.equal(troubleOf(full), "the disk is full");
  assert.deepEqual(healthOf(of(view("a", "master"), full)), { words: "A node needs a hand", tone: "warn" });
  const unarchived = view("a", "master", { archive: { offset: 1, lag: 9, lag_seconds: 3, last_error: "the bucket refuses" } });
  assert.equal(troubleOf(unarchived), "archive: the bucket refuses");
  assert.equal(healthOf(of(unarchived)).words, "A node needs a hand");
  assert.equal(troubleOf({ ...full, error: "gone" }), "gone");
});

test("the largest lag is that of replicas that answer", () => {
  const far = { ...view("c", "replica", { lag: 900 }), error: "gone" };
  const state = of(view("a", "master"), view("b", "replica", { lag: 3, lag_seconds: 0.5 }), far);
  assert.deepEqual(lagOf(state), { entries: 3, seconds: 0.5, replicas: 1 });
});

test("a delayed replica says by how much", () => {
  const master = view("a", "master");
  Object.assign(master.figures, { replicas: [replica("b")] });
  const delayed = view("b", "replica", { held_back: 40, apply_delay_ms: 3600000 });
  const state = of(master, delayed);
  assert.deepEqual(streamsOf(state).map((one) => [one.tone, one.label]), [["ok", "async · delayed 1 h 0 min"]]);
});

test("a stream is sync where its replica counts for the quorum", () => {
  const master = view("a", "master", { mode: "sync" });
  Object.assign(master.figures, { replicas: [replica("b"), replica("c")], members: voters("a", "b") });
  const streams = streamsOf(of(master, view("b", "replica", { lag: 1200 }), view("c", "replica")));
  assert.deepEqual(streams.map((one) => one.label), ["sync · 1,200 behind", "async · up to date"]);
  assert.deepEqual([...votersOf(of(master))], ["a", "b"]);
});

test("a stream to a silent node is broken, and one that nobody feeds has none", () => {
  const master = view("a", "master");
  Object.assign(master.figures, { replicas: [replica("b")] });
  const streams = streamsOf(of(master, { ...view("b", "replica"), error: "x" }, view("d", "replica")));
  assert.deepEqual(streams.map((one) => [one.to, one.broken, one.label]), [["b", true, "broken"], ["d", true, "no stream"]]);
});

test("pause and full sync stand on the stream", () => {
  const master = view("a", "master");
  Object.assign(master.figures, { replicas: [replica("b", { state: "paused" }), replica("c")] });
  const streams = streamsOf(of(master, view("b", "replica"), view("c", "replica", { state: "full_sync" })));
  assert.deepEqual(streams.map((one) => one.label), ["paused", "full sync"]);
});

test("a replica of a replica is drawn below the one that it follows, once", () => {
  const [first, second] = [view("b", "replica", { master_id: "a", upstream_id: "a" }), view("c", "replica", { master_id: "a", upstream_id: "b" })];
  const third = view("d", "replica", { master_id: "a", upstream_id: "c" });
  const master = view("a", "master");
  Object.assign(master.figures, { replicas: [replica("b")] });
  // The last one followed the first for a while, which still tells of it.
  Object.assign(first.figures, { replicas: [replica("c"), replica("d", { state: "reconnecting" })] });
  Object.assign(second.figures, { replicas: [replica("d")] });
  const streams = streamsOf(of(master, first, second, third));
  assert.deepEqual(streams.map((one) => [one.from, one.to, one.broken]), [["a", "b", false], ["b", "c", false], ["c", "d", false]]);
});

test("other nodes are offered with those that answer first", () => {
  const state = of(view("a", "master"), { ...view("b", "replica"), error: "x" }, view("c", "replica"), { ...view("d", "replica"), url: "" });
  assert.deepEqual(othersOf(state).map((node) => node.node_id), ["c", "b"]);
});
