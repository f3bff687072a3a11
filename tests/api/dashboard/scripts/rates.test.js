import assert from "node:assert/strict";
import { test } from "node:test";

import { Rates, WINDOW_S } from "../../../../src/nexus/api/dashboard/page/rates.js";
import { after, nothing } from "../../../../src/nexus/api/dashboard/page/state.js";
import { view } from "./cluster.js";

/** @param {number} at seconds @param {number} offset @param {string} [id] */
function stateAt(at, offset, id = "a") {
  const master = view(id, "master", { wal_offset: offset });
  Object.assign(master.figures, { at_us: at * 1e6, master_stats: { current_offset: offset, entries_replicated: 2 * offset, bytes_sent: 100 * offset } });
  return after(nothing(), "cluster", { seen_by: id, nodes: [master, view("r", "replica", { lag_seconds: 0.5 })] });
}

test("a rate is what was counted by the time that passed on the node", () => {
  const rates = new Rates();
  rates.take(stateAt(100, 50), 1);
  rates.take(stateAt(102, 60), 2);
  assert.deepEqual([rates.current("commits"), rates.current("entries"), rates.current("bytes")], [5, 10, 500]);
  assert.deepEqual(rates.samples[1].lags, { r: 0.5 });
});

test("figures that stand still are a rate of nothing", () => {
  const rates = new Rates();
  for (const now of [1, 2, 3]) rates.take(stateAt(100, 50), now);
  assert.equal(rates.current("commits"), 0);
});

test("another master begins anew, and so does one that was started again", () => {
  const rates = new Rates();
  rates.take(stateAt(100, 50), 1);
  rates.take(stateAt(101, 900, "b"), 2);
  assert.equal(rates.current("commits"), null);
  rates.take(stateAt(102, 5, "b"), 3);
  assert.equal(rates.current("commits"), null);
});

test("the largest lag is told with whose it is once it is late", () => {
  const rates = new Rates();
  assert.equal(rates.furthest(), null);
  rates.take(stateAt(100, 50), 1);
  assert.deepEqual(rates.furthest(), { seconds: 0.5, of: "" });
  for (const [late, of] of /** @type {const} */ ([[2, "at most"], [90, "at most, far"]])) {
    rates.take(after(stateAt(101, 50), "node", view("far", "replica", { lag_seconds: late })), 2);
    assert.deepEqual(rates.furthest(), { seconds: late, of });
  }
});

test("without a master there is no rate", () => {
  const rates = new Rates();
  rates.take(stateAt(100, 50), 1);
  rates.take(nothing(), 2);
  assert.equal(rates.current("commits"), null);
  assert.equal(rates.has("commits"), false);
});

test("what is older than the window is dropped", () => {
  const rates = new Rates();
  for (let now = 0; now < 2 * WINDOW_S; now += 10) rates.take(stateAt(now, now), now);
  assert.ok(rates.samples[0].time >= WINDOW_S - 10);
  assert.equal(rates.has("commits"), true);
});

test("what is shown is the mean of the last seconds", () => {
  const rates = new Rates();
  rates.take(stateAt(0, 0), 0);
  rates.take(stateAt(1, 10), 1);
  rates.take(stateAt(2, 10), 2);
  assert.deepEqual(rates.smooth("commits"), [null, 10, 5]);
});
