// What is seen of an archive between two times: a curve of at most so many steps, the same as lines of a table, and sums
// over whole readings.

import { midnight, nextMidnight } from "./figures.js";
import { APPARENT, ESTIMATES, POWER_FAILED } from "./quality.js";

const SLACK_S = 1;
const DAY_S = 86_400;
const MOST_STEPS = 1600;
const BY_DAYS = 20 * DAY_S; // from here on a step is a local day, and its height an energy
const WIDTHS = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600];
const LINES_BY_DAYS = 2.1 * DAY_S; // from here on a line is a local day: two days may have 49 hours
const MOST_LINES = 48;
const LINE_WIDTHS = [300, 900, 3600];

/**
 * Return {from, to, unit, edges, imports, exports, estimated, failed, gaps, lines, sums}.
 *
 * `edges`: the steps' n + 1 times; `imports` and `exports`: n mean powers in kW, or with unit "kWh" the energies of
 * local days; null where nothing was read. `estimated`, `failed`, `gaps`: [from, to] stretches of estimates, of readings
 * in which the power failed, and without a reading. `lines`: {from, to, byDay, importMwh, exportMwh, readings, estimated,
 * failed, missing (seconds)} of days or less; their readings are those that begin in them, so that they add up to the sums.
 */
export function view(archive, from, to, zone) {
  const byDays = to - from > BY_DAYS;
  const length = archive.last?.length ?? 60;
  const edges = byDays ? midnights(from, to, zone) : grid(from, to, length);
  const steps = new Steps(edges);
  const lines = linesOf(archive, from, to, length, zone);
  const marks = { estimated: [], failed: [], gaps: gapsOf(archive, from, to) };
  const sums = { importMwh: 0, exportMwh: 0, readings: 0, gaps: marks.gaps.length, estimated: 0, apparent: 0, failed: 0, covered: 0 };
  let line = 0;
  archive.visit(from, to, (columns, at) => {
    const { end: ends, length: lengths, quality: qualities, importMwh, exportMwh } = columns;
    const [end, quality, begun] = [ends[at], qualities[at], ends[at] - lengths[at]];
    const [estimated, failed] = [quality & ESTIMATES ? 1 : 0, quality & POWER_FAILED ? 1 : 0];
    while (line < lines.length - 1 && lines[line].to <= begun) line++;
    for (const sum of [sums, lines[line]]) {
      sum.importMwh += importMwh[at];
      sum.exportMwh += exportMwh[at];
      sum.readings++;
      sum.estimated += estimated;
      sum.failed += failed;
    }
    sums.covered += lengths[at];
    if (quality & APPARENT) sums.apparent++;
    if (estimated) mark(marks.estimated, begun, end);
    if (failed) mark(marks.failed, begun, end);
    steps.add(begun, end, importMwh[at], exportMwh[at]);
  });
  for (const each of lines) each.missing = overlap(marks.gaps, each);
  return { from, to, edges, unit: byDays ? "kWh" : "kW", ...steps.curves(byDays), ...marks, lines, sums };
}

function mark(stretches, from, to) {
  const before = stretches.at(-1);
  if (before && before[1] >= from - SLACK_S) before[1] = to;
  else stretches.push([from, to]);
}

function overlap(stretches, { from, to }) {
  let seconds = 0;
  for (const [begun, end] of stretches) seconds += Math.max(0, Math.min(end, to) - Math.max(begun, from));
  return seconds;
}

// Also where a gap reaches over an end of what is shown; before the first reading and after the last is none.
function gapsOf(archive, from, to) {
  const gaps = [];
  const { first, last } = archive;
  if (!first) return gaps;
  let known = first.end - first.length < from ? from : null;
  const upTo = (begun) => {
    if (known !== null && begun > known + SLACK_S) gaps.push([known, begun]);
  };
  archive.visit(from - DAY_S, to, ({ end, length }, at) => {
    if (end[at] - length[at] >= from) upTo(end[at] - length[at]);
    known = Math.max(known ?? 0, end[at]);
  });
  if (last.end - last.length >= to) upTo(to);
  return gaps;
}

function midnights(from, to, zone) {
  const edges = [midnight(from, zone)];
  while (edges.at(-1) < to) edges.push(nextMidnight(edges.at(-1), zone));
  return edges;
}

function grid(from, to, length) {
  const least = Math.max((to - from) / MOST_STEPS, Math.min(length, 900));
  const width = WIDTHS.find((each) => each >= least) ?? WIDTHS.at(-1);
  // Aligned to the width itself, so that a step holds whole readings.
  const first = Math.floor(from / width) * width;
  return Array.from({ length: Math.ceil((to - first) / width) + 1 }, (_, i) => first + i * width);
}

function linesOf(archive, from, to, length, zone) {
  const byDay = to - from > LINES_BY_DAYS;
  const edges = byDay ? midnights(from, to, zone) : clockEdges(from, to, length, zone);
  const lines = [];
  for (let i = 0; i + 1 < edges.length; i++) {
    const line = { from: Math.max(edges[i], from), to: Math.min(edges[i + 1], to), byDay };
    lines.push({ ...line, importMwh: 0, exportMwh: 0, readings: 0, estimated: 0, failed: 0, missing: 0 });
  }
  return lines;
}

function clockEdges(from, to, length, zone) {
  const width = LINE_WIDTHS.find((each) => each >= length && (to - from) / each <= MOST_LINES) ?? Math.max(3600, length);
  const day = midnight(from, zone);
  const edges = [day + Math.floor((from - day) / width) * width];
  while (edges.at(-1) < to) edges.push(edges.at(-1) + width);
  return edges;
}

/** What is read in each step of a curve. A reading that reaches over several steps is spread over them by time. */
class Steps {
  #edges;
  #step = 0;
  #imports;
  #exports;
  #covered;

  constructor(edges) {
    this.#edges = edges;
    [this.#imports, this.#exports, this.#covered] = [0, 1, 2].map(() => new Float64Array(edges.length - 1));
  }

  /** Take a reading that begins no earlier than the one before. */
  add(begun, end, importMwh, exportMwh) {
    const edges = this.#edges;
    const count = edges.length - 1;
    while (this.#step < count - 1 && edges[this.#step + 1] <= begun) this.#step++;
    for (let i = this.#step; i < count && edges[i] < end; i++) {
      const part = Math.min(end, edges[i + 1]) - Math.max(begun, edges[i]);
      if (part <= 0) continue;
      this.#imports[i] += (importMwh * part) / (end - begun);
      this.#exports[i] += (exportMwh * part) / (end - begun);
      this.#covered[i] += part;
    }
  }

  curves(byDays) {
    const scaled = (mwh, i) => {
      if (!this.#covered[i]) return null;
      return byDays ? mwh / 1e6 : (mwh * 3600) / this.#covered[i] / 1e6;
    };
    return { imports: Array.from(this.#imports, scaled), exports: Array.from(this.#exports, scaled) };
  }
}
