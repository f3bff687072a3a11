/** The cluster as a drawing; the table of nodes and a sentence tell the same. */

import { drawn } from "./dom.js";
import { count, host, shortId } from "./format.js";
import { layOut } from "./layout.js";
import { answers, masterOf, nodesOf, roleOf, stateOf, streamsOf, votersOf } from "./state.js";

/** @param {HTMLElement} figure @param {HTMLElement} told @param {import("./state.js").State} state */
export function draw(figure, told, state) {
  const nodes = nodesOf(state);
  const streams = streamsOf(state);
  const width = Math.max(280, Math.floor(figure.clientWidth));
  const { boxes, lines, height } = layOut(nodes.map((node) => node.node_id), streams, width);
  const sentence = inWords(state, streams);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": sentence });
  streams.forEach((stream, place) => {
    const { path, head, label } = lines[place];
    svg.append(
      drawn(
        "g",
        { "data-tone": stream.tone, "data-stream": `${stream.from} ${stream.to}` },
        drawn("path", { class: "stream", d: path, "data-flow": stream.flows, "data-broken": stream.broken }),
        stream.broken ? "" : drawn("path", { class: "head", d: head }),
        ...plated(stream.label, label),
      ),
    );
  });
  const voters = votersOf(state);
  for (const node of nodes) {
    const box = boxes.get(node.node_id);
    if (box) svg.append(nodeAt(node, box, voters.has(node.node_id)));
  }
  figure.replaceChildren(svg);
  if (told.textContent !== sentence) told.textContent = sentence;
}

/** A label on the line, which is interrupted behind it. @param {string} text @param {{x: number, y: number, anchor: string}} at */
function plated(text, { x, y, anchor }) {
  const width = text.length * 6.6 + 12;
  const left = anchor === "middle" ? x - width / 2 : x - 6;
  const plate = anchor === "middle" ? drawn("rect", { class: "plate", x: left, y: y - 14, width, height: 19, rx: 4 }) : "";
  return [plate, drawn("text", { class: "tone", x, y, "text-anchor": anchor }, text)];
}

/** @param {import("./state.js").NodeView} node @param {import("./layout.js").Box} box @param {boolean} votes */
function nodeAt(node, box, votes) {
  const { word, tone } = stateOf(node);
  const status = node.figures?.status;
  const role = status?.role ?? "unknown";
  const fits = Math.floor((box.width - 34) / 7.7);
  const spare = Math.floor((box.width - 43) / 6.7) - Math.ceil(Math.min(fits, shortId(node.node_id).length) * 1.16) - 1;
  const second = status ? `epoch ${count(status.epoch)} · offset ${count(status.wal_offset)}` : host(node.url) || node.addr;
  return drawn(
    "g",
    { transform: `translate(${box.x} ${box.y})`, "data-tone": tone, "data-role": role, "data-silent": !answers(node), "data-node": node.node_id },
    drawn("title", {}, `${node.node_id} at ${host(node.url) || node.addr || "?"}`),
    drawn("rect", { class: "box", width: box.width, height: box.height, rx: 10 }),
    drawn("circle", { class: "dot", cx: 17, cy: 21, r: 4.5 }),
    drawn("text", { class: "name", x: 29, y: 25 }, cut(shortId(node.node_id), fits)),
    drawn("text", { class: answers(node) ? "dim" : "tone", x: box.width - 14, y: 25, "text-anchor": "end" }, answers(node) ? cut(host(node.url), spare) : "silent"),
    drawn("text", { x: 29, y: 44 }, cut(`${roleOf(node, votes)} · ${word}`, Math.floor((box.width - 40) / 6.6))),
    drawn("text", { class: "dim", x: 29, y: 61 }, cut(second, Math.floor((box.width - 40) / 6.3))),
  );
}

/** @param {string} text @param {number} most */
const cut = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);

/** @param {import("./state.js").State} state @param {import("./state.js").Stream[]} streams */
function inWords(state, streams) {
  const master = masterOf(state);
  const named = (/** @type {string} */ id) => shortId(id);
  const first = master ? `${named(master.node_id)} takes the writes.` : "No node takes writes.";
  const others = streams.map((stream) => `${named(stream.from)} to ${named(stream.to)}: ${stream.broken ? "broken" : stream.label}.`);
  return [first, ...others].join(" ");
}
