// The supplier's year of one neighbourhood: energy by day, load duration, the privacy label and the flags.

import { ask } from "./asking.js";
import { clock, kwh, moment } from "./figures.js";
import { part } from "./parts.js";
import { line } from "./table.js";
import { PlainChart } from "./plain_chart.js";

const place = part("year");
const { url, zone } = place.dataset;

const percent = (share) => (share === null || share === undefined ? "–" : `${(share * 100).toFixed(share < 0.9995 ? 1 : 0)} %`);
const kilowatt = (watt) => `${(watt / 1000).toFixed(3)} kW`;
const total = (days, name) => days.reduce((sum, day) => sum + day[name], 0);

function show(year) {
  if (!year.last) {
    part("state").textContent = "Nothing has been reported yet.";
    return;
  }
  part("state").textContent = `${year.days.length} days up to ${year.last}.`;
  const { days } = year;
  const peak = days.reduce((most, day) => (most && most.peak_w >= day.peak_w ? most : day), null);
  part("import").textContent = days.length ? `${kwh(total(days, "import_mwh"))} kWh` : "–";
  part("export").textContent = days.length ? `${kwh(total(days, "export_mwh"))} kWh` : "–";
  part("peak").textContent = peak ? kilowatt(peak.peak_w) : "–";
  part("peak").title = peak ? moment(peak.peak_at, zone) : "";
  part("completeness").textContent = percent(year.completeness);
  new PlainChart(part("days"), {
    zone, time: true, unit: "kWh", stepped: true,
    series: [["Import", "--import", "--import-soft"], ["Export", "--export"]],
    columns: [days.map((day) => day.start), days.map((day) => day.import_mwh / 1e6), days.map((day) => day.export_mwh / 1e6)],
  });
  new PlainChart(part("duration"), {
    zone, unit: "kW", series: [["Reached", "--import", "--import-soft"]],
    columns: [year.duration.map(([share]) => share * 100), year.duration.map(([, watt]) => watt / 1000)],
  });
  part("flags").replaceChildren(...year.flags.map((flag) => line([moment(flag.start, zone)], [flag.kind, "warn"], [flag.words])));
  part("more").textContent = `${year.more_flags} more, older.`;
  part("more").hidden = !year.more_flags;
  if (!year.flags.length) part("flags").replaceChildren(line(["–"], ["none", "good"], ["nothing to look at in seven days"]));
  part("rows").replaceChildren(...days.map(lineOf).reverse());
}

function showLabel(label) {
  part("fewest").textContent = label.fewest === null ? "–" : `${label.fewest} homes`;
  const told = (share) => (share === null ? `not measured yet: ${label.days ? "two weeks are needed" : "35 whole days are needed"}` : `${percent(share)} of the time`);
  part("leak-day").textContent = told(label.day);
  part("leak-week").textContent = told(label.week);
  part("warning").hidden = !label.warns;
  part("warning").textContent = label.warns ? `Sums of ${label.fewest} homes are opened here; fewer than 50 hide each other badly.` : "";
}

function lineOf(day) {
  return line(
    [day.day], [kwh(day.import_mwh), "n"], [kwh(day.export_mwh), "n"], [(day.peak_w / 1000).toFixed(3), "n"],
    [clock(day.peak_at, zone)], [`${day.contributions} of ${day.contributions_expected}`, "n"],
  );
}

async function showBalance() {
  const answer = await fetch(place.dataset.balance, { credentials: "same-origin", cache: "no-store" });
  const { days = [], error } = await answer.json();
  part("balance-state").hidden = !error;
  part("balance-state").textContent = error ? `The feeder's file cannot be used: ${error}.` : "";
  part("balance").replaceChildren(...days.map((day) => line(
    [day.day], [kwh(day.feeder_mwh), "n"], [kwh(day.metered_mwh), "n"], [kwh(day.loss_mwh), "n"], [percent(day.loss_share), "n"],
    day.why ? [`not balanced: ${day.why}`, "warn"] : [""],
  )).reverse());
}

if (place.dataset.label) {
  ask(place.dataset.label, {}).then(({ label }) => label && showLabel(label), () => {
    part("leak-day").textContent = "could not be loaded; reload the page to try again";
  });
}
if (place.dataset.balance) {
  showBalance().catch(() => {
    part("balance-state").hidden = false;
    part("balance-state").textContent = "The balance could not be loaded; reload the page to try again.";
  });
}
ask(url, {}).then(show, () => {
  part("state").textContent = "The year could not be loaded. Reload the page to try again.";
});
