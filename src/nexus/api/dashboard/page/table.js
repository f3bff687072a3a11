/** The table of nodes: figures, last error, and what can be done there. */

import { element } from "./dom.js";
import { count, host, seconds, shortId } from "./format.js";
import { answers, masterOf, mayAct, nodesOf, reigns, roleOf, stateOf, troubleOf, votersOf } from "./state.js";

/** @typedef {import("./words.js").Action} Action */

/** Rows are kept from one look to the next: a button that has the focus keeps it. */
export class Table {
  /** @param {HTMLElement} body @param {(action: Action, node: import("./state.js").NodeView) => void} act */
  constructor(body, act) {
    this.body = body;
    this.act = act;
    /** @type {Map<string, HTMLTableRowElement>} */
    this.rows = new Map();
  }

  /** @param {import("./state.js").State} state */
  show(state) {
    /** @type {HTMLElement[]} */
    const wanted = [];
    for (const node of nodesOf(state)) {
      const row = this.rows.get(node.node_id) ?? element("tr", { "data-node": node.node_id });
      this.rows.set(node.node_id, row);
      this.fill(row, node, state);
      wanted.push(row);
      const trouble = troubleOf(node);
      if (trouble) wanted.push(element("tr", { class: "trouble" }, element("td", { colspan: 9 }, element("p", { class: "error" }, trouble))));
    }
    for (const id of this.rows.keys()) if (!state.nodes.has(id)) this.rows.delete(id);
    settle(this.body, wanted);
  }

  /** @param {HTMLTableRowElement} row @param {import("./state.js").NodeView} node @param {import("./state.js").State} state */
  fill(row, node, state) {
    const status = node.figures?.status;
    const { word, tone } = stateOf(node);
    const votes = votersOf(state).has(node.node_id);
    const figure = (/** @type {string} */ name, /** @type {string} */ label, /** @type {number | undefined} */ value, /** @type {string} */ text) =>
      element("td", { class: "number", "data-figure": name, "data-label": label, "data-value": value }, value === undefined ? "–" : text);
    const isReplica = status && answers(node) && !reigns(node);
    const cells = [
      element(
        "th",
        { scope: "row" },
        element("span", { class: "id", title: node.node_id }, node.node_id),
        element("span", { class: "at" }, node.url ? element("a", { href: `${node.url.replace(/\/$/, "")}/`, title: node.url }, host(node.url)) : node.addr || "address unknown"),
      ),
      element("td", { "data-label": "Role", "data-figure": "role", "data-value": status?.role }, status ? roleOf(node, votes) : "–"),
      element("td", { "data-label": "State" }, element("span", { class: "pill", "data-tone": tone }, word)),
      figure("epoch", "Epoch", status?.epoch, count(status?.epoch ?? 0)),
      figure("offset", "Offset", status?.wal_offset, count(status?.wal_offset ?? 0)),
      figure("commit_offset", "Committed", status?.commit_offset, count(status?.commit_offset ?? 0)),
      figure("lag", "Lag", isReplica ? status.lag : undefined, count(status?.lag ?? 0)),
      figure("lag_seconds", "Behind", isReplica ? status.lag_seconds : undefined, seconds(status?.lag_seconds ?? 0)),
    ];
    const actions = row.querySelector("td.actions-cell") ?? element("td", { class: "actions-cell" }, element("div", { class: "actions" }));
    this.offer(/** @type {HTMLElement} */ (actions.firstElementChild), node, state);
    for (const [place, cell] of cells.entries()) {
      const old = row.children[place];
      if (!old) row.append(cell);
      else if (!old.isEqualNode(cell) && !old.contains(document.activeElement)) old.replaceWith(cell);
    }
    if (!actions.parentElement) row.append(actions);
    row.toggleAttribute("data-silent", !answers(node));
  }

  /** @param {HTMLElement} place @param {import("./state.js").NodeView} node @param {import("./state.js").State} state */
  offer(place, node, state) {
    const wanted = offersOf(node, state);
    const key = wanted.map(([action, text]) => action + text).join();
    if (place.dataset.offers === key) return;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.action;
    const had = place.contains(document.activeElement);
    place.dataset.offers = key;
    place.replaceChildren(
      ...wanted.map(([action, text]) =>
        element(
          "button",
          { type: "button", "data-action": action, "aria-label": `${text.replace("…", "")}: ${shortId(node.node_id)}`, onclick: () => this.act(action, node) },
          text,
        ),
      ),
    );
    if (had) /** @type {HTMLElement | null} */ (place.querySelector(`[data-action="${focused}"]`) ?? place.querySelector("button"))?.focus();
  }
}

/** What can be done at a node, as it stands. @param {import("./state.js").NodeView} node @param {import("./state.js").State} state @returns {[Action, string][]} */
export function offersOf(node, state) {
  const status = node.figures?.status;
  if (!status || !answers(node) || !mayAct(state)) return [];
  /** @type {[Action, string][]} */
  const offers = [];
  const master = masterOf(state);
  const heirs = votersOf(state).size > 1;
  if (reigns(node) && status.role === "master" && heirs) offers.push(["switchover", "Switch over…"]);
  if (status.role === "replica" && (!master || !heirs)) offers.push(["promote", "Promote…"]);
  if (status.role === "replica" || status.role === "master") offers.push(status.paused ? ["resume", "Resume…"] : ["pause", "Pause…"]);
  if (status.has_database) offers.push(["snapshot", "Snapshot…"]);
  return offers;
}

/** Put the rows in their order; one that is in place is left alone. @param {HTMLElement} body @param {HTMLElement[]} rows */
function settle(body, rows) {
  rows.forEach((row, place) => {
    const there = body.children[place];
    if (there === row || (there && row.className === "trouble" && there.isEqualNode(row))) return;
    body.insertBefore(row, there ?? null);
  });
  while (body.children.length > rows.length) body.lastElementChild?.remove();
}
