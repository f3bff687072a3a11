/** The dashboard: it follows one node's stream of the cluster, and draws what it says. */

import { attachActions } from "./actions.js";
import { Charts } from "./charts.js";
import { ownDatabase, showDatabases } from "./databases.js";
import { byId, element } from "./dom.js";
import { draw } from "./drawing.js";
import { showEvents } from "./events.js";
import { host, shortId } from "./format.js";
import { firstAlive, moveTo, pageOf, whyHere } from "./moving.js";
import { Rates } from "./rates.js";
import { after, healthOf, masterOf, mayAct, nothing, othersOf } from "./state.js";
import { readStream, RefusedError } from "./stream.js";
import { Table } from "./table.js";
import { attachTheme } from "./theme.js";
import { showTiles } from "./tiles.js";
import { authorisation, keepToken, token } from "./token.js";

const RETRY_MS = 500;
const TRIES_BEFORE_MOVING = 2;

let state = nothing();
let lastId = "";
let failures = 0;
/** @type {(() => void) | null} */
let signedIn = null;

const rates = new Rates();
const charts = new Charts(byId("charts"), rates);
const table = new Table(byId("rows"), attachActions(() => state));

/** @param {import("./stream.js").Message} message */
function heard({ event, data, id }) {
  if (id !== null) lastId = id;
  if (event === "looked") {
    failures = 0;
    rates.take(state, Date.now() / 1000);
    show();
    return;
  }
  state = after(state, event, JSON.parse(data));
  if (event === "cluster") {
    show();
    showDatabases(byId("databases"));
  }
}

function show() {
  byId("content").hidden = false;
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = !token();
  const { words, tone } = healthOf(state);
  const pill = byId("health");
  if (pill.textContent !== words) pill.textContent = words;
  pill.dataset.tone = tone;
  const own = state.nodes.get(state.seenBy);
  const cluster = own?.figures?.status.cluster_id;
  const database = ownDatabase();
  byId("where").textContent = `${database ? `database ${database}, ` : ""}${cluster ? `cluster ${cluster}, ` : ""}seen by ${shortId(state.seenBy)}`;
  document.title = `${words} · Nexus`;
  showTiles(byId("tiles"), state);
  draw(byId("drawing"), byId("drawing-told"), state);
  showAlone();
  charts.show();
  byId("may-not").hidden = mayAct(state);
  byId("may-not").textContent = `Looking only: what you signed in with has the role ${state.may}. To act (switch over, pause, …), sign out and sign in with a token of the role admin.`;
  table.show(state);
  showEvents(byId("events"), byId("no-events"), state.events);
  if (!moved) showBanner("");
}

function showAlone() {
  const alone = byId("alone");
  alone.hidden = state.nodes.size > 1;
  const master = masterOf(state);
  if (alone.hidden || !master) return;
  alone.replaceChildren(
    "Nothing streams yet: no replica follows this node. Start one with ",
    element("code", {}, "nexus serve --role replica --master-addr HOST:PORT"),
    ".",
  );
}

let moved = whyHere();

/** @param {string} words @param {...(Node | string)} more */
function showBanner(words, ...more) {
  const banner = byId("banner");
  banner.hidden = !words;
  if (banner.dataset.words === words) return;
  banner.dataset.words = words;
  banner.dataset.tone = moved ? "warn" : "bad";
  banner.replaceChildren(words, ...more);
}

/** Links to the other nodes, for who does not want to wait. */
function elsewhere() {
  const links = othersOf(state).map((node) => element("a", { href: pageOf(node) }, host(node.url)));
  return links.flatMap((link, place) => [place ? ", " : " Open another: ", link]);
}

/** @param {unknown} [error] */
async function lost(error) {
  failures += 1;
  moved = "";
  byId("health").textContent = "Not connected";
  byId("health").dataset.tone = "bad";
  const others = othersOf(state);
  const name = state.seenBy ? shortId(state.seenBy) : "This page's node";
  const what = error instanceof RefusedError ? `refuses: ${error.message}` : "does not answer";
  showBanner(`${name} at ${location.host} ${what}; trying again.`, ...elsewhere());
  if (failures < TRIES_BEFORE_MOVING || !others.length) return;
  const found = await firstAlive(others);
  if (found) moveTo(found, state.seenBy);
}

/** @param {RefusedError} refusal */
function signIn(refusal) {
  byId("content").hidden = true;
  byId("sign-in").hidden = false;
  byId("health").textContent = "Signed out";
  byId("health").dataset.tone = "idle";
  byId("where").textContent = location.host;
  byId("sign-in-error").textContent = token() ? refusal.message : "";
  byId("token").focus();
  return new Promise((resolve) => {
    signedIn = () => resolve(undefined);
  });
}

byId("sign-in-form").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  keepToken(byId("token").value.trim());
  byId("token").value = "";
  signedIn?.();
});
byId("sign-out").addEventListener("click", () => {
  keepToken("");
  location.reload();
});
byId("only-warnings").addEventListener("change", (/** @type {any} */ event) => {
  byId("events").toggleAttribute("data-only-warnings", event.target.checked);
});
attachTheme(byId("theme"), () => charts.repaint());
new ResizeObserver(() => state.nodes.size && draw(byId("drawing"), byId("drawing-told"), state)).observe(byId("drawing"));
if (moved) showBanner(moved);

for (;;) {
  try {
    await readStream("cluster/events", { Accept: "text/event-stream", ...authorisation(), ...(lastId ? { "Last-Event-ID": lastId } : {}) }, heard);
    await lost();
  } catch (error) {
    if (error instanceof RefusedError && [401, 403].includes(error.status)) {
      await signIn(error);
      continue;
    }
    await lost(error);
  }
  await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}
