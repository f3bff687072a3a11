/** The live charts: each a figure in large, and its last five minutes. */

import { element } from "./dom.js";
import { bytes, rate, seconds, shortId, shortSeconds } from "./format.js";
import { WINDOW_S } from "./rates.js";
import uPlot from "./vendor/uPlot.esm.js";

const HEIGHT = 112;

/** @typedef {{title: string, unit: string, name: import("./rates.js").Rate, write: (value: number | null) => string, least: number}} Rated */

/** @typedef {{write: (value: number | null) => string, least: number}} Axis the smallest range is from 0 to `least` */

/** @type {Rated[]} */
const RATED = [
  { title: "Commits", unit: "a second", name: "commits", write: rate, least: 10 },
  { title: "Entries streamed", unit: "a second", name: "entries", write: rate, least: 10 },
  { title: "Bytes streamed", unit: "a second", name: "bytes", write: bytes, least: 1000 },
];

const LINES = ["--accent", "--line-2", "--line-3", "--line-4", "--muted"];

/** All charts of the page. */
export class Charts {
  /** @param {HTMLElement} place @param {import("./rates.js").Rates} rates */
  constructor(place, rates) {
    this.place = place;
    this.rates = rates;
    /** @type {{now: HTMLElement, plot: HTMLElement, chart: any, lines: string}[]} */
    this.charts = [...RATED.map((each) => each.title), "Lag"].map((title) => {
      const now = element("p", { class: "now" }, "–");
      const plot = element("div", { class: "plot", "aria-hidden": "true" });
      place.append(element("figure", { class: "card chart" }, element("h2", {}, title), now, plot));
      return { now, plot, chart: null, lines: "" };
    });
    new ResizeObserver(() => this.resize()).observe(place);
  }

  /** Draw what the rates hold by now. */
  show() {
    const { samples } = this.rates;
    const times = samples.map((one) => one.time);
    RATED.forEach(({ name, unit, write, least }, place) => {
      const values = this.rates.smooth(name);
      this.draw(place, [times, values], [name], { write, least }, this.rates.has(name) ? write(this.rates.current(name)) : "–", unit, this.rates.before ? "no figures yet" : "no master");
    });
    const ids = [...new Set(samples.flatMap((one) => Object.keys(one.lags)))].sort();
    const lags = ids.map((id) => samples.map((one) => one.lags[id] ?? null));
    const last = this.rates.furthest();
    this.draw(RATED.length, [times, ...lags], ids.map(shortId), { write: shortSeconds, least: 1 }, last ? seconds(last.seconds) : "–", last?.of ?? "", "no replica answers");
  }

  /** @param {number} place @param {any[]} data @param {string[]} names @param {Axis} axis @param {string} now @param {string} unit @param {string} none what is said instead of the unit where there is no figure */
  draw(place, data, names, axis, now, unit, none) {
    const one = this.charts[place];
    one.now.toggleAttribute("data-empty", now === "–");
    one.now.replaceChildren(now, element("small", {}, now === "–" ? none : unit));
    const lines = names.join(" ");
    if (one.chart === null || one.lines !== lines) {
      one.chart?.destroy();
      one.lines = lines;
      one.chart = new uPlot(options(one.plot.clientWidth, names, axis), data, one.plot);
    } else {
      one.chart.setData(data);
    }
  }

  /** The colours have changed: draw anew. */
  repaint() {
    for (const one of this.charts) {
      one.chart?.destroy();
      one.chart = null;
    }
    this.show();
  }

  resize() {
    for (const one of this.charts) one.chart?.setSize({ width: one.plot.clientWidth, height: HEIGHT });
  }
}

/** @param {number} width @param {string[]} names @param {Axis} wanted */
function options(width, names, { write, least }) {
  const [muted, line] = [colour("--muted"), colour("--line")];
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: muted, font, ticks: { show: false }, grid: { stroke: line, width: 1 } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (/** @type {any} */ _u, /** @type {number} */ _low, /** @type {number} */ high) => [high - WINDOW_S, high] },
      y: { range: (/** @type {any} */ _u, /** @type {number} */ _low, /** @type {number} */ high) => [0, Math.max(least, (high ?? 0) * 1.15)] },
    },
    axes: [
      { ...axis, size: 20, gap: 2, splits: minutes, grid: { show: false }, values: minutesAgo },
      { ...axis, size: 52, gap: 4, space: 34, values: (/** @type {any} */ _u, /** @type {number[]} */ ticks) => ticks.map(write) },
    ],
    series: [
      {},
      ...names.map((_, place) => ({
        stroke: colour(LINES[place % LINES.length]),
        width: 1.75,
        points: { show: false },
        fill: names.length === 1 ? colour("--accent", 0.12) : undefined,
      })),
    ],
  };
}

const AGO = [240, 120];

/** @param {any} chart */
const minutes = (chart) => AGO.slice(chart.width < 200 ? 1 : 0).map((ago) => chart.scales.x.max - ago);

/** @param {any} chart @param {number[]} splits */
const minutesAgo = (chart, splits) => splits.map((split) => `${Math.round((chart.scales.x.max - split) / 60)} min ago`);

/** A custom property as the canvas needs it. @param {string} name @param {number} [alpha] */
function colour(name, alpha = 1) {
  const probe = element("span", { hidden: true });
  document.body.append(probe);
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return alpha === 1 ? found : found.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}
