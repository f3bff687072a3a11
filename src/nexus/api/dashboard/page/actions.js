/** The dialog of an action: what it will do, a confirmation, and what came of it. */

import { byId, element } from "./dom.js";
import { count, host, shortId } from "./format.js";
import { answers, masterOf, reigns, votersOf } from "./state.js";
import { authorisation } from "./token.js";
import { planOf, problemOf } from "./words.js";

/** @typedef {import("./words.js").Action} Action */
/** @typedef {import("./state.js").NodeView} NodeView */

/** @param {() => import("./state.js").State} stateNow @returns {(action: Action, node: NodeView) => void} */
export function attachActions(stateNow) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  const confirm = /** @type {HTMLButtonElement} */ (byId("dialog-confirm"));
  const cancel = /** @type {HTMLButtonElement} */ (byId("dialog-cancel"));
  /** @type {(() => Promise<void>) | null} */
  let confirmed = null;
  confirm.addEventListener("click", () => confirmed?.());

  return (action, node) => {
    const state = stateNow();
    const master = masterOf(state);
    const plan = planOf(action, {
      name: shortId(node.node_id),
      isMaster: reigns(node),
      hasMaster: master !== null,
      votes: votersOf(state).size > 0,
    });
    const choice = action === "switchover" ? heirs(state) : null;
    byId("dialog-title").textContent = plan.title;
    byId("dialog-body").replaceChildren(
      element("p", { class: "muted" }, `${shortId(node.node_id)} at ${host(node.url) || node.addr || "this address"}`),
      element("ul", {}, ...plan.consequences.map((line) => element("li", {}, line))),
      ...(choice ? [choice] : []),
    );
    byId("dialog-outcome").replaceChildren();
    confirm.textContent = plan.confirm;
    confirm.className = plan.danger ? "danger" : "primary";
    confirm.hidden = false;
    confirm.disabled = choice !== null && choice.querySelector("input:checked") === null;
    cancel.textContent = "Cancel";
    confirmed = async () => {
      const heir = /** @type {HTMLInputElement | null} */ (choice?.querySelector("input:checked"))?.value;
      confirm.disabled = true;
      confirm.textContent = "Working…";
      const outcome = await done(node.node_id, action, heir ? { to: heir } : {}, plan);
      byId("dialog-outcome").replaceChildren(outcome);
      confirm.hidden = true;
      cancel.textContent = "Close";
      cancel.focus();
    };
    dialog.showModal();
    const first = /** @type {HTMLElement | null} */ (choice?.querySelector("input:checked"));
    (first ?? cancel).focus();
  };
}

/** @param {import("./state.js").Status | undefined} status */
const canReign = (status) => status?.role === "replica" && status.state === "streaming" && status.has_database && !status.paused;

/** @param {import("./state.js").State} state */
function heirs(state) {
  const voters = votersOf(state);
  const able = [...state.nodes.values()].filter(
    (node) => voters.has(node.node_id) && answers(node) && canReign(node.figures?.status),
  );
  able.sort((a, b) => (a.figures?.status.lag ?? 0) - (b.figures?.status.lag ?? 0));
  if (!able.length) return element("fieldset", {}, element("p", { class: "error" }, "No voter that could reign answers just now."));
  return element(
    "fieldset",
    {},
    element("legend", {}, "The heir"),
    ...able.map((node, place) =>
      element(
        "label",
        { class: "choice" },
        element("input", { type: "radio", name: "heir", value: node.node_id, checked: place === 0 }),
        element("span", {}, element("span", { class: "id", title: node.node_id }, node.node_id), element("span", { class: "dim" }, host(node.url) || node.addr)),
        element("span", { class: "dim" }, node.figures?.status.lag ? `${count(node.figures.status.lag)} behind` : "up to date"),
      ),
    ),
  );
}

/** @param {string} id @param {Action} action @param {object} body @param {import("./words.js").Plan} plan */
async function done(id, action, body, plan) {
  try {
    const response = await fetch(`cluster/nodes/${encodeURIComponent(id)}/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...authorisation() },
      body: JSON.stringify(body),
    });
    const answer = await response.json().catch(() => null);
    if (response.ok) return told("ok", "Done.", plan.done(answer));
    const { title, detail } = problemOf(answer, response.status);
    return told("bad", title, detail);
  } catch {
    return told("bad", "No answer", "This page's node went away meanwhile. Whether it was done shows when the page has found another node.");
  }
}

/** @param {string} tone @param {string} title @param {string} detail */
const told = (tone, title, detail) => element("div", { class: "outcome", "data-tone": tone }, element("strong", {}, title), detail);
