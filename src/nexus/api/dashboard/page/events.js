/** The list of events, newest first. */

import { element } from "./dom.js";
import { clock, shortId, utc } from "./format.js";
import { titleOf } from "./words.js";

/** @type {Record<string, string>} */
const TONES = { info: "idle", warning: "warn", error: "bad" };

/** @param {HTMLElement} list @param {HTMLElement} empty @param {import("./state.js").ClusterEvent[]} events */
export function showEvents(list, empty, events) {
  empty.hidden = events.length > 0;
  const there = new Map([...list.children].map((item) => [/** @type {HTMLElement} */ (item).dataset.key, item]));
  const wanted = events.map((told) => there.get(keyOf(told)) ?? itemOf(told));
  wanted.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  while (list.children.length > wanted.length) list.lastElementChild?.remove();
}

/** @param {import("./state.js").ClusterEvent} told */
const keyOf = (told) => `${told.node_id} ${told.event.id}`;

/** @param {import("./state.js").ClusterEvent} told */
function itemOf(told) {
  const { event, node_id } = told;
  const title = `${utc(event.time)}, epoch ${event.epoch}, offset ${event.offset}`;
  return element(
    "li",
    { "data-key": keyOf(told), "data-kind": event.kind, "data-level": event.level, "data-tone": TONES[event.level] ?? "idle" },
    element("time", { datetime: event.time, title }, clock(event.time)),
    element("span", { class: "kind" }, titleOf(event.kind)),
    element("span", { class: "detail" }, event.detail),
    element("span", { class: "node", title: node_id }, shortId(node_id)),
  );
}
