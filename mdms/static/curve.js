// A curve of mean powers: steps, gaps where nothing is known, shaded bands where something is withheld.

import { axis, colour, follow, highest, shade, wallTicks, widthOf } from "./charting.js";
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

function value(_plot, kilowatt) {
  return kilowatt === null || kilowatt === undefined ? "–" : `${kilowatt.toFixed(3)} kW`;
}

/** One chart in an element, as wide as it is. */
export class Curve {
  #plot;
  #bands = [];

  /** `forecast`: three columns more, what was expected, and the low and high end of an interval around it. */
  constructor(element, zone, { forecast = false } = {}) {
    const shared = axis();
    const line = (label, name, fill) => ({
      label, value, width: 2, spanGaps: false, points: { show: false },
      paths: uPlot.paths.stepped({ align: 1 }),
      stroke: () => colour(name), fill: () => (fill ? colour(fill) : undefined),
    });
    this.#plot = new uPlot(
      {
        width: widthOf(element),
        height: HEIGHT,
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
        scales: {
          x: { range: (_plot, low, high) => [low, high] },
          y: { range: (_plot, _low, high) => [0, Math.max(high ?? 0, 0.001) * 1.08] },
        },
        axes: [
          { ...shared, size: 34, values: wallTicks(zone) },
          { ...shared, size: 56, values: (_plot, ticks) => ticks.map((tick) => `${tick} kW`) },
        ],
        series: [
          { label: "Time", value: (_plot, at) => (at ? moment(at, zone) : "–") },
          line("Import", "--import", "--import-soft"),
          line("Export", "--export"),
          ...(forecast ? foretold(line) : []),
        ],
        bands: forecast ? [{ series: [5, 4], fill: () => colour("--forecast-soft") }] : [],
        cursor: { y: false },
        hooks: { drawClear: [(plot) => shade(plot, this.#bands)] },
      },
      Array.from({ length: forecast ? 6 : 3 }, () => []),
      element,
    );
    follow(this.#plot, element, HEIGHT);
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
}

function foretold(line) {
  const expected = { ...line("Forecast", "--forecast"), dash: [6, 4], width: 1.5 };
  const edge = (label) => ({ ...line(label, "--forecast"), width: 0 });
  return [expected, edge("Low"), edge("High")];
}
