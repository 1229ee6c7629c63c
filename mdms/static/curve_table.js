// The curve as a table, for whoever does not see it or would rather read: its times, energies and remarks.

import { clock, date, kwh, moment } from "./figures.js";
import { part } from "./parts.js";
import { line } from "./table.js";

/** Show the lines of what a worker saw (view.js), and beside each what came before; up to the last reading. */
export function showCurveTable(seen, before, { first, last }, zone) {
  const known = ({ from, to }) => from < last.end && to > first.end - first.length;
  const oneDay = date(seen.from, zone) === date(seen.to - 1, zone); // which the title above names
  part("curve-before").hidden = !before;
  const rows = seen.lines.map((each, i) => [each, before && before.lines[i]]).filter(([each]) => known(each));
  part("curve-rows").replaceChildren(
    ...rows.map(([each, earlier]) => line(
      [told(each, oneDay, zone), "t"],
      [energy(each, "importMwh"), "n"],
      [energy(each, "exportMwh"), "n"],
      ...(before ? [[earlier ? energy(earlier, "importMwh") : "–", "n"]] : []),
      [remarks(each), each.estimated || each.failed || each.missing ? "warn" : ""],
    )),
  );
}

function told({ from, to, byDay }, oneDay, zone) {
  if (byDay) return date(from, zone);
  return `${oneDay ? clock(from, zone) : moment(from, zone)} to ${clock(to, zone)}`;
}

function energy(each, name) {
  return each.readings ? kwh(each[name]) : "–";
}

function remarks({ readings, estimated, failed, missing }) {
  const said = [];
  if (missing) said.push(`no reading for ${minutes(missing)}`);
  if (estimated) said.push(`${estimated} of ${readings} readings estimated`);
  if (failed) said.push(`power failed in ${failed}`);
  return said.join("; ");
}

function minutes(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const whole = Math.round(seconds / 60);
  return whole < 120 ? `${whole} min` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}
