// The customer's curve: steps of mean power, or of a day's energy; what came before beside it; estimates shaded, and where
// the power failed a strip along the top. Drag to zoom, double-click for all of it.

import { axis, colour, follow, highest, shade, wallTicks, widthOf } from "./charting.js";
import { moment } from "./figures.js";
import { LEAST_ZOOM_S } from "./zooming.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 300;
const HAIR_S = 0.001; // between a step's end and the next one's beginning
const HEADROOM = 1.08;
const LEAST_TOP = 0.001;
const STRIP = 6; // CSS pixels

/** Return uPlot's columns for steps between edges: every value at its step's both ends, null where nothing is known. */
export function columnsOf(edges, ...series) {
  const columns = Array.from({ length: series.length + 1 }, () => []);
  for (let i = 0; i + 1 < edges.length; i++) {
    for (const x of [edges[i], edges[i + 1] - HAIR_S]) {
      columns[0].push(x);
      series.forEach((values, k) => columns[k + 1].push(values[i] ?? null));
    }
  }
  return columns;
}

/** One chart in an element, as wide as it is. `zoomed(from, to)` is called for a stretch, without times for all of it. */
export class EnergyChart {
  #plot;
  #unit = "kW";
  #marks = { estimated: [], failed: [] };

  constructor(element, zone, zoomed) {
    const shared = axis();
    const value = (_plot, it) => (it === null || it === undefined ? "–" : `${it.toFixed(3)} ${this.#unit}`);
    const line = (label, name, fill) => ({
      label, value, width: 2, spanGaps: false, points: { show: false },
      stroke: () => colour(name), fill: () => (fill ? colour(fill) : undefined),
    });
    this.#plot = new uPlot(
      {
        width: widthOf(element),
        height: HEIGHT,
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
        scales: {
          x: { range: (_plot, low, high) => [low, high] },
          y: { range: (_plot, _low, high) => [0, high ?? HEADROOM] },
        },
        axes: [
          { ...shared, size: 34, values: wallTicks(zone) },
          { ...shared, size: 64, values: (_plot, ticks) => ticks.map((tick) => `${tick} ${this.#unit}`) },
        ],
        series: [
          { label: "Time", value: (_plot, at) => (at ? moment(at, zone) : "–") },
          line("Import", "--import", "--import-soft"),
          line("Export", "--export"),
          { ...line("Import before", "--forecast"), width: 1.5, dash: [6, 4] },
        ],
        cursor: {
          y: false,
          drag: { x: true, y: false, setScale: false },
          bind: { dblclick: () => () => zoomed() },
        },
        hooks: {
          drawClear: [(plot) => shade(plot, this.#marks.estimated)],
          draw: [(plot) => shade(plot, this.#marks.failed, "--failed", STRIP)],
          setSelect: [(plot) => this.#selected(plot, zoomed)],
        },
      },
      [[], [], [], []],
      element,
    );
    follow(this.#plot, element, HEIGHT);
  }

  /** Show what a worker saw (view.js) and, beside it, the imports of what came before. */
  show(seen, before) {
    this.#unit = seen.unit;
    this.#marks = seen;
    const columns = columnsOf(seen.edges, seen.imports, seen.exports, before?.imports ?? []);
    this.#plot.batch(() => {
      this.#plot.setSeries(3, { show: Boolean(before) });
      this.#plot.setData(columns, false);
      this.#plot.setScale("x", { min: seen.from, max: seen.to });
      this.#plot.setScale("y", { min: 0, max: HEADROOM * Math.max(LEAST_TOP, ...columns.slice(1).map(highest)) });
    });
  }

  #selected(plot, zoomed) {
    const { left, width } = plot.select;
    if (width <= 0) return;
    const from = Math.floor(plot.posToVal(left, "x"));
    const to = Math.ceil(plot.posToVal(left + width, "x"));
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (to - from >= LEAST_ZOOM_S) zoomed(from, to);
  }
}
