// What is seen of an archive between two times: a curve of at most so many steps, and sums over whole readings.

import { midnight } from "./figures.js";

const SLACK_S = 1;
const DAY_S = 86_400;
const MOST_STEPS = 1600;
const BY_DAYS = 20 * DAY_S; // from here on a step is a local day, and its height an energy
const WIDTHS = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600];
const DOUBTFUL = 0x08 | 0x04; // estimated, power failed (protocol, 2.2)
const APPARENT = 0x01;

/**
 * Return {from, to, unit, edges, imports, exports, doubtful, sums}.
 *
 * `edges`: the steps' n + 1 times; `imports` and `exports`: n mean powers in kW, or with unit "kWh" the energies of
 * local days; null where nothing was read. `doubtful`: [from, to] stretches of estimates.
 */
export function view(archive, from, to, zone) {
  const byDays = to - from > BY_DAYS;
  const edges = byDays ? midnights(from, to, zone) : grid(from, to, archive.last?.length ?? 60);
  const steps = spread(archive, edges, from, to);
  const scaled = (mwh, i) => {
    if (!steps.covered[i]) return null;
    return byDays ? mwh / 1e6 : (mwh * 3600) / steps.covered[i] / 1e6;
  };
  return {
    from, to, edges,
    unit: byDays ? "kWh" : "kW",
    imports: Array.from(steps.imports, scaled),
    exports: Array.from(steps.exports, scaled),
    doubtful: steps.doubtful,
    sums: steps.sums,
  };
}

function midnights(from, to, zone) {
  const edges = [midnight(from, zone)];
  while (edges.at(-1) < to) edges.push(midnight(edges.at(-1) + 1.5 * DAY_S, zone));
  return edges;
}

function grid(from, to, length) {
  const least = Math.max((to - from) / MOST_STEPS, Math.min(length, 900));
  const width = WIDTHS.find((each) => each >= least) ?? WIDTHS.at(-1);
  // Aligned to the width itself, so that a step holds whole readings.
  const first = Math.floor(from / width) * width;
  return Array.from({ length: Math.ceil((to - first) / width) + 1 }, (_, i) => first + i * width);
}

// A reading that reaches over several steps is spread over them by time.
function spread(archive, edges, from, to) {
  const count = edges.length - 1;
  const [imports, exports, covered] = [0, 1, 2].map(() => new Float64Array(count));
  const sums = { importMwh: 0, exportMwh: 0, readings: 0, gaps: 0, estimated: 0, apparent: 0, covered: 0 };
  const doubtful = [];
  let step = 0;
  let before = null;
  archive.visit(from, to, (columns, at) => {
    const end = columns.end[at];
    const length = columns.length[at];
    const begun = end - length;
    sums.importMwh += columns.importMwh[at];
    sums.exportMwh += columns.exportMwh[at];
    sums.covered += length;
    sums.readings++;
    if (before !== null && begun > before + SLACK_S) sums.gaps++;
    before = end;
    if (columns.quality[at] & APPARENT) sums.apparent++;
    if (columns.quality[at] & DOUBTFUL) {
      sums.estimated++;
      if (doubtful.length && doubtful.at(-1)[1] >= begun - SLACK_S) doubtful.at(-1)[1] = end;
      else doubtful.push([begun, end]);
    }
    while (step < count - 1 && edges[step + 1] <= begun) step++;
    for (let i = step; i < count && edges[i] < end; i++) {
      const part = Math.min(end, edges[i + 1]) - Math.max(begun, edges[i]);
      if (part <= 0) continue;
      imports[i] += (columns.importMwh[at] * part) / length;
      exports[i] += (columns.exportMwh[at] * part) / length;
      covered[i] += part;
    }
  });
  return { imports, exports, covered, doubtful, sums };
}
