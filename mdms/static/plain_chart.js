// A chart that is drawn once: columns over time, or over per cent. Drag to zoom, double-click for all of it.

import { axis, colour, follow, widthOf } from "./charting.js";
import { moment } from "./figures.js";
import uPlot from "./vendor/uplot.js";

const HEIGHT = 260;

export class PlainChart {
  /** `series`: [label, colour, fill]; `columns`: x, then one for each; `time`: x is seconds in `zone`, else per cent. */
  constructor(element, { zone, time = false, unit, stepped = false, series, columns }) {
    const shared = axis();
    const line = ([label, name, fill]) => ({
      label, width: 2, points: { show: false },
      value: (_plot, at) => (at === null || at === undefined ? "–" : `${at.toFixed(3)} ${unit}`),
      paths: stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
      stroke: () => colour(name), fill: () => (fill ? colour(fill) : undefined),
    });
    const first = time
      ? { label: "Day", value: (_plot, at) => (at ? moment(at, zone).slice(0, 10) : "–") }
      : { label: "Time", value: (_plot, at) => (at === null || at === undefined ? "–" : `${at.toFixed(0)} %`) };
    const plot = new uPlot(
      {
        width: widthOf(element),
        height: HEIGHT,
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
        scales: {
          x: { time },
          y: { range: (_plot, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, 0.001) * 1.08] },
        },
        axes: [
          { ...shared, size: 34, ...(time ? {} : { values: (_plot, ticks) => ticks.map((tick) => `${tick} %`) }) },
          { ...shared, size: 64, values: (_plot, ticks) => ticks.map((tick) => `${tick} ${unit}`) },
        ],
        series: [first, ...series.map(line)],
        cursor: { y: false },
      },
      columns,
      element,
    );
    follow(plot, element, HEIGHT);
  }
}
