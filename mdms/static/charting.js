// What every chart here has in common: colours of the page's scheme, axes, and a width that follows the window.

import uPlot from "./vendor/uplot.js";

/** Return a colour of the page, by the name of its custom property, in the scheme that is shown. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Return what uPlot's axes share. */
export function axis() {
  const grid = { stroke: () => colour("--line"), width: 1 };
  return { stroke: () => colour("--soft"), grid, ticks: { show: false } };
}

/** Return how wide a chart in an element is. */
export function widthOf(element) {
  return Math.max(element.clientWidth, 200);
}

/** Keep a plot as wide as its element, and in the colours of the scheme. */
export function follow(plot, element, height) {
  new ResizeObserver(() => plot.setSize({ width: widthOf(element), height })).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw(false));
}

/** Return the greatest of a column, or 0. */
export function highest(column) {
  let most = 0;
  for (const each of column) if (each > most) most = each;
  return most;
}

/** Return what writes an axis of times on a zone's wall clock: hours, or days where ticks are so far apart. */
export function wallTicks(zone) {
  const hour = uPlot.fmtDate("{HH}:{mm}");
  const day = uPlot.fmtDate("{MM}-{DD}");
  return (_plot, ticks, _axis, _space, increment) =>
    ticks.map((at) => (increment >= 86_400 ? day : hour)(uPlot.tzDate(new Date(at * 1000), zone)));
}

/** Shade [from, to] stretches of a plot in a colour of the page, each a pixel wide at least; `high`: CSS pixels from the top, or all. */
export function shade(plot, stretches, name = "--band", high = Infinity) {
  const { left, top, width, height } = plot.bbox;
  plot.ctx.save();
  plot.ctx.beginPath();
  plot.ctx.rect(left, top, width, Math.min(height, high * devicePixelRatio));
  plot.ctx.clip();
  plot.ctx.fillStyle = colour(name);
  for (const [from, to] of stretches) {
    const x = plot.valToPos(from, "x", true);
    plot.ctx.fillRect(x, top, Math.max(plot.valToPos(to, "x", true) - x, 1), height);
  }
  plot.ctx.restore();
}
