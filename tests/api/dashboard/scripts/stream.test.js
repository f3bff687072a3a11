import assert from "node:assert/strict";
import { test } from "node:test";

import { Parser } from "../../../../src/nexus/api/dashboard/page/stream.js";

const TEXT = 'retry: 1000\n\nevent: cluster\ndata: {"a":1}\n\nid: x-7\nevent: happened\ndata: 1\ndata: 2\n\n: nothing new\n\nevent: looked\ndata: null\n\n';
const MESSAGES = [
  { event: "cluster", data: '{"a":1}', id: null },
  { event: "happened", data: "1\n2", id: "x-7" },
  { event: "looked", data: "null", id: null },
];

test("messages are told apart, comments and settings are none", () => {
  assert.deepEqual(new Parser().push(TEXT), MESSAGES);
});

test("it does not matter where the text was cut", () => {
  for (let size = 1; size < 9; size += 1) {
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < TEXT.length; at += size) found.push(...parser.push(TEXT.slice(at, at + size)));
    assert.deepEqual(found, MESSAGES);
  }
});
