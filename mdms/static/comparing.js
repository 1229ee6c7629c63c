// The time shown beside the same time of the span before, in words: what is compared with what, and how far it is measured.

import { kwh } from "./figures.js";
import { earlierBy } from "./spans.js";

const DAY_S = 86_400;
const BARELY = 0.99; // a share of a time that is measured; from here on two energies are of equal times
const BEFORE = { day: "the day before", week: "the week before", month: "the month before", year: "the year before" };

/**
 * Return {now, then, name}: [from, to] of what is shown and read already, and of the same by the calendar and the clock in
 * the span before; null where nothing is read or that span has no such time (a 31st of February).
 */
export function comparable(range, whole, zoom, earlier, readTo, zone) {
  const shown = zoom ?? whole;
  const now = [shown.from, Math.min(shown.to, readTo)];
  if (now[1] <= now[0]) return null;
  const back = (at) => earlierBy(range, at, zone);
  if (!zoom && readTo >= whole.to) return { now, then: [earlier.from, earlier.to], name: BEFORE[range] };
  const then = [back(now[0]), Math.min(back(now[1]), earlier.to)];
  if (then[1] <= then[0]) return null;
  const cut = readTo < shown.to;
  if (!zoom) return { now, then, name: `${BEFORE[range]} up to the same time` };
  return { now, then, name: `the same time of ${BEFORE[range]}${cut ? ", as far as this one is read" : ""}` };
}

/** Return a sentence of the energies of two such times, by what a worker saw of each (view.js). */
export function compared({ now, then, name }, nowSums, thenSums) {
  if (!thenSums.readings) return `There are no readings of ${name}.`;
  const measured = [share(nowSums, now), share(thenSums, then)];
  const whole = measured.every((each) => each >= BARELY);
  const one = (word, a, b) => `${word} ${kwh(a)} kWh, ${name}: ${kwh(b)} kWh${whole ? change(a, b) : ""}.`;
  const said = [one("Import", nowSums.importMwh, thenSums.importMwh)];
  if (nowSums.exportMwh || thenSums.exportMwh) said.push(one("Export", nowSums.exportMwh, thenSums.exportMwh));
  const days = [now, then].map(([from, to]) => Math.round((to - from) / DAY_S));
  if (days[0] !== days[1]) said.push(`It is ${days[0]} days against ${days[1]}.`);
  if (!whole) said.push(`Not alike: ${percent(measured[0])} of the one time is measured, and ${percent(measured[1])} of the other.`);
  return said.join(" ");
}

function share({ covered }, [from, to]) {
  return Math.min(1, covered / (to - from));
}

function percent(part) {
  return `${Math.floor(part * 100)} %`;
}

function change(now, then) {
  if (!then) return "";
  const by = Math.round((now / then - 1) * 100);
  return ` (${by < 0 ? "−" : by ? "+" : "±"}${Math.abs(by)} %)`;
}
