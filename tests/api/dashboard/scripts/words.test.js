import assert from "node:assert/strict";
import { test } from "node:test";

import { planOf, problemOf, titleOf } from "../../../../src/nexus/api/dashboard/page/words.js";

const ABOUT = { name: "n1", isMaster: false, hasMaster: true, votes: true };

test("an event that the page does not know is called by its kind", () => {
  assert.deepEqual([titleOf("rewound"), titleOf("moon_has_risen")], ["Rewound", "Moon has risen"]);
});

test("every action says what it will do and what it has done", () => {
  const answer = { master_id: "n2", seconds: 0.5, epoch: 3, id: "s1", wal_offset: 10, compressed_size: 2048 };
  for (const action of /** @type {const} */ (["switchover", "promote", "pause", "resume", "snapshot"])) {
    for (const isMaster of [true, false]) {
      const plan = planOf(action, { ...ABOUT, isMaster });
      assert.ok(plan.title && plan.confirm && plan.consequences.length);
      assert.match(plan.done(answer), /\.$|bytes/);
    }
  }
});

test("a promotion without voters is a danger and says what may be lost", () => {
  const plan = planOf("promote", { ...ABOUT, votes: false });
  assert.equal(plan.danger, true);
  assert.match(plan.consequences.join(" "), /diverged/);
  const beside = (/** @type {boolean} */ hasMaster) => planOf("promote", { ...ABOUT, votes: false, hasMaster }).consequences.join(" ");
  assert.match(beside(true), /alive: this is refused/);
  assert.doesNotMatch(beside(false), /refused/);
});

test("a problem is told in the node's words, with what to do", () => {
  const told = problemOf({ title: "No", detail: "it is paused", what_to_do: "Resume it." }, 409);
  assert.deepEqual(told, { title: "No", detail: "it is paused — Resume it." });
  assert.deepEqual(problemOf(null, 502), { title: "The node answered 502", detail: "" });
});
