/** From a node that does not answer to one that does: its page shows the same cluster. */

import { host, shortId } from "./format.js";

const PROBE_MS = 1500;

/** The first of these nodes that answers. @param {import("./state.js").NodeView[]} others @returns {Promise<import("./state.js").NodeView | null>} */
export async function firstAlive(others) {
  const probes = others.map(async (node) => {
    // Another origin's answer cannot be read, only that there is one.
    await fetch(pageOf(node, "health"), { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(PROBE_MS) });
    return node;
  });
  return Promise.any(probes).catch(() => null);
}

/** @param {import("./state.js").NodeView} node @param {string} [path] */
export const pageOf = (node, path = "") => `${node.url.replace(/\/$/, "")}/${path}`;

/** Go there; the fragment tells that page why. @param {import("./state.js").NodeView} node @param {string} fromId */
export function moveTo(node, fromId) {
  location.replace(`${pageOf(node)}#moved-from=${encodeURIComponent(`${fromId} ${location.host}`)}`);
}

/** Why this page was opened, if another one sent us here. */
export function whyHere() {
  const told = /^#moved-from=(.*)$/.exec(location.hash)?.[1];
  if (!told) return "";
  history.replaceState(null, "", location.pathname);
  const [id, address] = decodeURIComponent(told).split(" ");
  return `${shortId(id)} at ${host(address ?? "")} did not answer, so this page moved here.`;
}
