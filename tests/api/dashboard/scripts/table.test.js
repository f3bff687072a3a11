import assert from "node:assert/strict";
import { test } from "node:test";

import { after, nothing } from "../../../../src/nexus/api/dashboard/page/state.js";
import { offersOf } from "../../../../src/nexus/api/dashboard/page/table.js";
import { view, voters } from "./cluster.js";

const master = view("a", "master");
master.figures.members = /** @type {any} */ (voters("a", "b"));
const seen = (/** @type {string} */ may) => after(nothing(), "cluster", { seen_by: "a", nodes: [master, view("b", "replica")], may });

test("an admin is offered what can be done at a node as it stands", () => {
  assert.deepEqual(offersOf(master, seen("admin")).map(([action]) => action), ["switchover", "pause", "snapshot"]);
});

test("whoever may only read is offered nothing", () => {
  for (const may of ["read", "write"]) assert.deepEqual(offersOf(master, seen(may)), []);
});
