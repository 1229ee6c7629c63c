// A curve of mean powers: steps, gaps where nothing is known, shaded bands where something is withheld.

import { moment } from "./figures.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 300;

/** Return uPlot's columns for intervals {start, end, values}, in order of time; where intervals do not meet is a gap. */
export function steps(intervals, series) {
  const columns = Array.from({ length: series + 1 }, () => []);
  const point = (x, values) => columns.forEach((column, i) => column.push(i ? (values ? values[i - 1] : null) : x));
  intervals.forEach((interval, i) => {
    if (!interval.values) return;
    point(interval.start, interval.values);
    const next = intervals[i + 1];
    if (!next || !next.values || next.start > interval.end) {
      point(interval.end, interval.values);
      point(interval.end + 0.001, null);
    }
  });
  return columns;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function value(_plot, kilowatt) {
  return kilowatt === null || kilowatt === undefined ? "–" : `${kilowatt.toFixed(3)} kW`;
}

/** One chart in an element, as wide as it is. */
export class Curve {
  #plot;
  #bands = [];

  /** `forecast`: three columns more, what was expected, and the low and high end of an interval around it. */
  constructor(element, zone, { forecast = false } = {}) {
    const grid = { stroke: () => colour("--line"), width: 1 };
    const axis = { stroke: () => colour("--soft"), grid, ticks: { show: false } };
    const line = (label, name, fill) => ({
      label, value, width: 2, spanGaps: false, points: { show: false },
      paths: uPlot.paths.stepped({ align: 1 }),
      stroke: () => colour(name), fill: () => (fill ? colour(fill) : undefined),
    });
    this.#plot = new uPlot(
      {
        width: Math.max(element.clientWidth, 200),
        height: HEIGHT,
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
        scales: {
          x: { range: (_plot, low, high) => [low, high] },
          y: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, 0.001) * 1.08] },
        },
        axes: [
          { ...axis, size: 34, values: hours(zone) },
          { ...axis, size: 56, values: (_plot, ticks) => ticks.map((tick) => `${tick} kW`) },
        ],
        series: [
          { label: "Time", value: (_plot, at) => (at ? moment(at, zone) : "–") },
          line("Import", "--import", "--import-soft"),
          line("Export", "--export"),
          ...(forecast ? foretold(line) : []),
        ],
        bands: forecast ? [{ series: [5, 4], fill: () => colour("--forecast-soft") }] : [],
        cursor: { y: false },
        hooks: { drawClear: [(plot) => this.#shade(plot)] },
      },
      Array.from({ length: forecast ? 6 : 3 }, () => []),
      element,
    );
    new ResizeObserver(() => this.#plot.setSize({ width: Math.max(element.clientWidth, 200), height: HEIGHT })).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot.redraw(false));
  }

  /** Show columns between two times; `bands` are [from, to] stretches to shade. */
  show(columns, from, to, bands = []) {
    this.#bands = bands;
    this.#plot.batch(() => {
      this.#plot.setData(columns, false);
      this.#plot.setScale("x", { min: from, max: to });
      this.#plot.setScale("y", { min: 0, max: Math.max(0, ...columns.slice(1).map(highest)) });
    });
  }

  #shade(plot) {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(left, top, width, height);
    plot.ctx.clip();
    plot.ctx.fillStyle = colour("--band");
    for (const [from, to] of this.#bands) {
      const x = plot.valToPos(from, "x", true);
      plot.ctx.fillRect(x, top, plot.valToPos(to, "x", true) - x, height);
    }
    plot.ctx.restore();
  }
}

function foretold(line) {
  const expected = { ...line("Forecast", "--forecast"), dash: [6, 4], width: 1.5 };
  const edge = (label) => ({ ...line(label, "--forecast"), width: 0 });
  return [expected, edge("Low"), edge("High")];
}

function highest(column) {
  let most = 0;
  for (const each of column) if (each > most) most = each;
  return most;
}

function hours(zone) {
  const hour = uPlot.fmtDate("{HH}:{mm}");
  const day = uPlot.fmtDate("{MM}-{DD}");
  return (_plot, ticks, _axis, _space, increment) =>
    ticks.map((at) => (increment >= 86_400 ? day : hour)(uPlot.tzDate(new Date(at * 1000), zone)));
}
