/** Where nodes and streams are drawn, for a width. Pure. */

/** @typedef {{id: string, x: number, y: number, width: number, height: number}} Box */
/** @typedef {{path: string, head: string, label: {x: number, y: number, anchor: string}}} Line */

export const HEIGHT = 74;
const GAP = 24;
const LEAST = 206;
const MOST = 250;
const DROP = 74;
const INDENT = 30;
const TREE_GAP = 34;

/**
 * Boxes by node id, lines in the order of the streams, and the height of it all.
 *
 * @param {string[]} ids @param {{from: string, to: string}[]} streams @param {number} width
 * @returns {{boxes: Map<string, Box>, lines: Line[], height: number}}
 */
export function layOut(ids, streams, width) {
  const levels = levelsOf(ids, streams);
  const most = Math.max(...levels.map((level) => level.length), 1);
  const fits = most * LEAST + (most - 1) * GAP <= width;
  return fits ? inRows(levels, streams, width) : asTree(ids, streams, width);
}

/** @param {string[]} ids @param {{from: string, to: string}[]} streams */
export function levelsOf(ids, streams) {
  const source = new Map(streams.map((stream) => [stream.to, stream.from]));
  /** @param {string} id */
  const depth = (id) => {
    let steps = 0;
    for (let at = source.get(id); at !== undefined && steps < ids.length; at = source.get(at)) steps += 1;
    return steps;
  };
  /** @type {string[][]} */
  const levels = [];
  for (const id of ids) (levels[depth(id)] ??= []).push(id);
  return levels.filter(Boolean);
}

/** @param {string[][]} levels @param {{from: string, to: string}[]} streams @param {number} width */
function inRows(levels, streams, width) {
  const most = Math.max(...levels.map((level) => level.length));
  const boxWidth = Math.min(MOST, (width - (most - 1) * GAP) / most);
  const boxes = new Map();
  levels.forEach((level, row) => {
    const pitch = Math.min(boxWidth + 4 * GAP, width / level.length);
    const left = (width - pitch * level.length) / 2;
    level.forEach((id, column) => {
      const x = left + pitch * column + (pitch - boxWidth) / 2;
      boxes.set(id, { id, x, y: 1 + row * (HEIGHT + DROP), width: boxWidth, height: HEIGHT });
    });
  });
  const lines = streams.map(({ from, to }) => {
    const [a, b] = [boxes.get(from), boxes.get(to)];
    const [x1, y1, x2, y2] = [a.x + a.width / 2, a.y + HEIGHT, b.x + b.width / 2, b.y - 2];
    const middle = y1 + 22;
    const bend = Math.abs(x2 - x1) < 1 ? "" : ` C ${x1} ${middle + 18}, ${x2} ${middle - 14}, ${x2} ${middle + 14}`;
    return { path: `M ${x1} ${y1}${bend} L ${x2} ${y2 - 7}`, head: arrow(x2, y2), label: { x: x2, y: y2 - 22, anchor: "middle" } };
  });
  return { boxes, lines, height: levels.length * HEIGHT + (levels.length - 1) * DROP + 2 };
}

/** One under the other, as a tree of folders is drawn: for phones and for many. @param {string[]} ids @param {{from: string, to: string}[]} streams @param {number} width */
function asTree(ids, streams, width) {
  const order = depthFirst(ids, streams);
  const boxes = new Map();
  order.forEach(({ id, depth }, row) => {
    const x = 1 + depth * INDENT;
    boxes.set(id, { id, x, y: 1 + row * (HEIGHT + TREE_GAP), width: Math.min(width - x - 1, 420), height: HEIGHT });
  });
  const lines = streams.map(({ from, to }) => {
    const [a, b] = [boxes.get(from), boxes.get(to)];
    const x = a.x + INDENT / 2;
    const y = b.y + HEIGHT / 2;
    const path = `M ${x} ${a.y + HEIGHT} L ${x} ${y - 8} Q ${x} ${y} ${x + 8} ${y} L ${b.x - 9} ${y}`;
    const head = `M ${b.x - 2} ${y} l -8 -5 l 0 10 z`;
    return { path, head, label: { x: b.x + 2, y: b.y - 9, anchor: "start" } };
  });
  return { boxes, lines, height: order.length * HEIGHT + (order.length - 1) * TREE_GAP + 2 };
}

/** @param {string[]} ids @param {{from: string, to: string}[]} streams */
function depthFirst(ids, streams) {
  const fed = new Set(streams.map((stream) => stream.to));
  /** @type {{id: string, depth: number}[]} */
  const order = [];
  const seen = new Set();
  /** @param {string} id @param {number} depth */
  const visit = (id, depth) => {
    if (seen.has(id)) return;
    seen.add(id);
    order.push({ id, depth });
    for (const stream of streams) if (stream.from === id) visit(stream.to, depth + 1);
  };
  for (const id of ids) if (!fed.has(id)) visit(id, 0);
  for (const id of ids) visit(id, 0);
  return order;
}

/** @param {number} x @param {number} y */
const arrow = (x, y) => `M ${x} ${y} l -5 -8 l 10 0 z`;
