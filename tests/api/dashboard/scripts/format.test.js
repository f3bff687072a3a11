import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, count, host, rate, seconds, shortId, shortSeconds, utc } from "../../../../src/nexus/api/dashboard/page/format.js";

test("large numbers have their thousands apart", () => {
  assert.equal(count(18402551), "18,402,551");
});

test("a small rate has a digit behind the point, a large one none, none at all a dash", () => {
  assert.deepEqual([rate(0), rate(0.53), rate(123.7), rate(null)], ["0", "0.5", "124", "–"]);
});

test("bytes come in the unit that keeps them short", () => {
  assert.deepEqual([bytes(0), bytes(999), bytes(5432), bytes(54321), bytes(2e9), bytes(null)], ["0 B", "999 B", "5.4 kB", "54 kB", "2.0 GB", "–"]);
});

test("a time span is told in the units that people count in", () => {
  assert.deepEqual([seconds(0), seconds(59.94), seconds(93.4), seconds(7260)], ["0.0 s", "59.9 s", "1 min 33 s", "2 h 1 min"]);
  assert.deepEqual([shortSeconds(0.25), shortSeconds(150), shortSeconds(null)], ["0.3 s", "2.5 min", "0 s"]);
});

test("an id made by a node is cut, a name is not", () => {
  assert.deepEqual([shortId("79ec3b12ff8646ae"), shortId("berlin-1")], ["79ec3b12", "berlin-1"]);
});

test("an address is a URL without its scheme", () => {
  assert.deepEqual([host("http://a:1/"), host("https://a:1/databases/x")], ["a:1", "a:1/databases/x"]);
  assert.equal(utc("2026-11-28T08:07:27.347+00:00"), "2026-11-28 08:07:27 UTC");
});
