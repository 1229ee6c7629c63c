// Does a bill hold what the own meter sealed? Sums of the customer's rows by billing windows, beside the billed ones.
//
// A window's energy is a difference of registers (protocol, chapter 5), so energy of a gap belongs to the window in which
// the first row behind it ends. The same is done here with the registers in the rows, to the milliwatt-hour.

import { nextMidnight } from "./figures.js";
import { ESTIMATES } from "./quality.js";

const HOUR_S = 3600;
const SLACK_S = 1;
const LATE_S = HOUR_S; // rows may begin so late in a period, and end so early, and still be all of it

/**
 * Compare a bill with the archive. `bandOf(at)` names the tariff's band of a time, or null.
 *
 * Returns {verdict, sums: [{bands, billed, mine}], billed, mine, missing, days}: energies as {importMwh, exportMwh}. The
 * verdict is "equal", "differs", "carried" (the bill holds windows of earlier periods, so it is compared in all with
 * them), or "incomplete" where the rows of the period are not all here; missing: [from, to] of the first such stretch. days: as of daysOf, [] where
 * the bill is equal.
 */
export function checkBill(archive, bill, bandOf) {
  const billed = energies(bill.import_mwh, bill.export_mwh);
  const { whole, byBand, first, last } = measured(archive, bill.start, bill.end, bandOf);
  const sums = bill.sums
    .filter((sum) => sum.bands.length)
    .map((sum) => ({ bands: sum.bands, billed: energies(sum.import_mwh, sum.export_mwh), mine: ofBands(byBand, sum.bands) }));
  const found = { sums, billed, mine: whole, missing: null, days: [] };
  if (first === null || first - bill.start > LATE_S) found.missing = [bill.start, first ?? bill.end];
  else if (bill.end - last > LATE_S) found.missing = [last, bill.end];
  const equal = same(billed, whole) && sums.every((sum) => same(sum.billed, sum.mine));
  if (equal && !found.missing) return { ...found, verdict: "equal" };
  found.days = daysOf(archive, bill);
  if (found.missing) return { ...found, verdict: "incomplete" };
  return { ...found, verdict: bill.adjusted ? "carried" : "differs" };
}

/**
 * Return a bill's period by days of its zone: [{from, to, mine, gaps, estimated}], for whoever looks for the place of a
 * difference. gaps: stretches [from, to] without a row; estimated: rows that are estimates. Energy of a gap is with the
 * first row behind it, as in a bill's windows.
 */
export function daysOf(archive, { start, end, zone }) {
  const days = [];
  for (let from = start; from < end; ) {
    const to = Math.min(end, nextMidnight(from, zone));
    days.push({ from, to, mine: energies(0, 0), gaps: [], estimated: 0 });
    from = to;
  }
  const missing = (from, to) => {
    for (const day of days) {
      const [begun, ended] = [Math.max(from, day.from), Math.min(to, day.to)];
      if (ended - begun > SLACK_S) day.gaps.push([begun, ended]);
    }
  };
  let at = 0;
  let seen = start;
  grown(archive, start, end, (row, importMwh, exportMwh) => {
    while (at < days.length - 1 && row.end > days[at].to) at++;
    add(days[at].mine, importMwh, exportMwh);
    if (row.quality & ESTIMATES) days[at].estimated++;
    missing(seen, row.end - row.length);
    seen = row.end;
  });
  missing(seen, end);
  return days;
}

/** Compare all bills from the first to one of them: what came late for one is in a later one. */
export function checkUpTo(archive, bills, bandOf) {
  const billed = energies(0, 0);
  const mine = energies(0, 0);
  for (const bill of bills) {
    const { whole } = measured(archive, bill.start, bill.end, bandOf);
    add(mine, whole.importMwh, whole.exportMwh);
    add(billed, bill.import_mwh ?? 0, bill.export_mwh ?? 0);
  }
  return { billed, mine, equal: same(billed, mine) };
}

function measured(archive, from, to, bandOf) {
  const whole = energies(0, 0);
  const byBand = new Map();
  let first = null;
  let last = null;
  grown(archive, from, to, (row, importMwh, exportMwh) => {
    add(whole, importMwh, exportMwh);
    const band = bandOf(row.end - 1);
    if (!byBand.has(band)) byBand.set(band, energies(0, 0));
    add(byBand.get(band), importMwh, exportMwh);
    first ??= row.end - row.length;
    last = row.end;
  });
  return { whole, byBand, first, last };
}

// Visit rows that end within from < t <= to, each with what its registers have grown by since the row before it.
function grown(archive, from, to, visit) {
  let before = null;
  archive.visit(from - 40 * 24 * HOUR_S, to, (columns, at) => {
    const row = {
      end: columns.end[at],
      length: columns.length[at],
      quality: columns.quality[at],
      meter: columns.meter[at],
      importRegister: columns.importRegister[at],
      exportRegister: columns.exportRegister[at],
    };
    if (row.end > from && row.end <= to) {
      // Another meter, or none before: the row says for itself what it measured.
      const known = before !== null && before.meter === row.meter && before.importRegister <= row.importRegister;
      const grownIn = known ? row.importRegister - before.importRegister : columns.importMwh[at];
      const grownOut = known ? row.exportRegister - before.exportRegister : columns.exportMwh[at];
      visit(row, grownIn, grownOut);
    }
    before = row;
  });
}

function ofBands(byBand, bands) {
  const sum = energies(0, 0);
  for (const band of bands) {
    const part = byBand.get(band);
    if (part) add(sum, part.importMwh, part.exportMwh);
  }
  return sum;
}

function energies(importMwh, exportMwh) {
  return { importMwh: importMwh ?? 0, exportMwh: exportMwh ?? 0 };
}

function add(sum, importMwh, exportMwh) {
  sum.importMwh += importMwh;
  sum.exportMwh += exportMwh;
}

function same(a, b) {
  return a.importMwh === b.importMwh && a.exportMwh === b.exportMwh;
}
