// A customer's own figures beside the curve: now, sums and cost, the newest readings, and some sealed beside opened.

import { serverTime } from "./asking.js";
import { toHex } from "./bytes.js";
import { date, kilowatts, kwh, moment } from "./figures.js";
import { whenRead } from "./newest.js";
import { part, write } from "./parts.js";
import { element, line } from "./table.js";

const COST = "by your tariff; the bill says it exactly";
const COST_OF_A_PART = "by your tariff, a charge a day by the share of the day that is shown";

/** Show what a worker saw (view.js, prices.js) of the time that `when` names; `state` is what it says of itself. */
export function showFigures({ sums, cost, currency, unit }, state, { zone, when, zoomed }) {
  const { last } = state;
  const net = kilowatts(last.importMwh - last.exportMwh, last.length) * 1000;
  part("now").textContent = `${net.toFixed(0)} W`;
  showAge(last, zone);
  const electric = [[last.volts, 1, "V"], [last.amperes, 2, "A"], [last.powerFactor, 2, "power factor"]];
  const measured = electric.filter(([value]) => !Number.isNaN(value)).map(([value, digits, name]) => `${value.toFixed(digits)} ${name}`);
  part("now-more").textContent = measured.join(" · ");
  for (const [id, sum] of [["import", sums.importMwh], ["export", sums.exportMwh]]) {
    part(id).textContent = `${kwh(sum)} kWh`;
    part(id).dataset.mwh = String(sum);
  }
  part("cost").textContent = cost === null ? "–" : cost.toLocaleString("en", { style: "currency", currency });
  part("cost-more").textContent = zoomed ? COST_OF_A_PART : COST;
  for (const each of document.querySelectorAll(".span")) each.textContent = when;
  part("last").textContent = moment(last.end, zone);
  part("opened").textContent = said(sums, unit, state, zone);
  part("opened").dataset.count = String(state.opened);
  part("opened").title = `${Math.round((state.opened / state.spentMs) * 1000).toLocaleString("en")} readings a second`;
}

/** Show how old the newest reading is. Also while no row comes: what was now has become old. */
export function showAge(last, zone) {
  // In a simulation the readings' time is another than the server's.
  if (!last || "simulated" in part("portal").dataset) return;
  const when = whenRead(last, serverTime(), zone);
  write("now-when", when);
  part("now").classList.toggle("old", when !== "Now");
}

/** Show some readings as they are stored, and opened: {reading, row} of each. */
export function showPairs(pairs, zone) {
  part("pairs").replaceChildren(
    ...[...pairs].reverse().map(({ reading, row }) => {
      const pair = document.createElement("div");
      const volts = Number.isNaN(reading.volts) ? "" : `, ${reading.volts.toFixed(1)} V`;
      const energies = `${watthours(reading.importMwh)} Wh in, ${watthours(reading.exportMwh)} Wh out`;
      pair.append(element("code", toHex(row)), element("p", `${moment(reading.end, zone)}: ${energies}${volts}`));
      return pair;
    }),
  );
}

/** Show the newest readings as a table. */
export function showNewest(readings, zone) {
  part("readings").replaceChildren(...readings.map((reading) => line(
    [moment(reading.end, zone)],
    [watthours(reading.importMwh), "n"],
    [watthours(reading.exportMwh), "n"],
    [number(reading.volts, 1), "n"],
    [number(reading.amperes, 2), "n"],
    [number(reading.powerFactor, 3), "n"],
  )));
}

function said(sums, unit, { opened, first }, zone) {
  const words = [`${opened.toLocaleString("en")} readings opened since ${date(first.end - first.length, zone)}.`];
  if (sums.gaps) words.push(`${sums.gaps} ${sums.gaps === 1 ? "gap" : "gaps"} in the time shown.`);
  if (sums.estimated) words.push(`${sums.estimated} of ${sums.readings} readings shown are estimates: shaded.`);
  if (sums.failed) words.push(`In ${sums.failed} of ${sums.readings} readings shown the power failed: a strip along the top.`);
  if (sums.apparent) words.push("Your meter measures current alone: its energies are estimates at the mains' nominal voltage.");
  if (unit === "kWh") words.push("Each step is a day's energy.");
  return words.join(" ");
}

function number(value, digits) {
  return Number.isNaN(value) ? "–" : value.toFixed(digits);
}

function watthours(mwh) {
  return (mwh / 1000).toFixed(3);
}
