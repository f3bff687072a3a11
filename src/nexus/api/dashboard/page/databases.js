/** Links between the pages of a node's databases: the main one and the named ones. */

import { element } from "./dom.js";
import { authorisation } from "./token.js";

const NAMED = /databases\/([^/]+)\/$/;

/** The database that this page is about; empty: the main one. */
export const ownDatabase = () => decodeURIComponent(NAMED.exec(location.pathname)?.[1] ?? "");

/** Show the links, where there are named databases. @param {HTMLElement} place */
export async function showDatabases(place) {
  const root = location.pathname.replace(NAMED, "");
  const response = await fetch(`${root}databases`, { headers: authorisation() }).catch(() => null);
  if (!response?.ok) return;
  /** @type {{databases: {name: string}[]}} */
  const { databases } = await response.json();
  place.hidden = databases.length === 0;
  const links = ["", ...databases.map((one) => one.name)].map((name) =>
    element(
      "a",
      { href: name ? `${root}databases/${encodeURIComponent(name)}/` : root, "aria-current": name === ownDatabase() ? "page" : null },
      name || "main",
    ),
  );
  place.replaceChildren(...links);
}
