import assert from "node:assert/strict";
import { test } from "node:test";

import { HEIGHT, layOut, levelsOf } from "../../../../src/nexus/api/dashboard/page/layout.js";

const star = (/** @type {number} */ size) => {
  const ids = Array.from({ length: size }, (_, place) => `n${place}`);
  return { ids, streams: ids.slice(1).map((to) => ({ from: "n0", to })) };
};

/** @param {any} one @param {any} other */
const overlap = (one, other) => one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height;

test("no two nodes overlap and none leaves the drawing, for any size and width", () => {
  for (const width of [280, 320, 340, 700, 1200]) {
    for (const size of [1, 2, 3, 5, 9]) {
      const { ids, streams } = star(size);
      const { boxes, lines, height } = layOut(ids, streams, width);
      const all = [...boxes.values()];
      assert.equal(all.length, size);
      assert.equal(lines.length, streams.length);
      for (const [place, box] of all.entries()) {
        assert.ok(box.x >= 0 && box.x + box.width <= width && box.y + HEIGHT <= height);
        assert.ok(all.slice(place + 1).every((other) => !overlap(box, other)));
      }
    }
  }
});

test("a replica of a replica stands below it", () => {
  const streams = [{ from: "a", to: "b" }, { from: "b", to: "c" }];
  assert.deepEqual(levelsOf(["a", "b", "c"], streams), [["a"], ["b"], ["c"]]);
  const { boxes } = layOut(["a", "c", "b"], streams, 300);
  assert.ok((boxes.get("c")?.y ?? 0) > (boxes.get("b")?.y ?? 0));
});

test("nodes that stream in a circle are all drawn", () => {
  const streams = [{ from: "a", to: "b" }, { from: "b", to: "a" }];
  assert.equal(layOut(["a", "b"], streams, 300).boxes.size, 2);
});
