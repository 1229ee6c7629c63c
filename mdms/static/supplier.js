// The supplier's load curve: one day of one neighbourhood, filling as reports come in.

import { ask, keepAsking } from "./asking.js";
import { Curve, steps } from "./curve.js";
import { clock, kilowatts, kwh } from "./figures.js";
import { part } from "./parts.js";
import { line } from "./table.js";

const RELEASED = "released";
const WAITING = "waiting";

const place = part("loads");
const { url, zone } = place.dataset;
const curve = new Curve(part("chart"), zone, { forecast: true });

let chosen = "";
let shown = null;
let loads = new Map();

function forget() {
  shown = null;
  loads = new Map();
}

// What is decided never changes: ask only for what comes behind the last interval up to which all are decided.
function known() {
  let last = 0;
  for (const load of inOrder()) {
    if (load.status === WAITING) break;
    last = load.start;
  }
  return last;
}

function inOrder() {
  return [...loads.values()].sort((a, b) => a.start - b.start);
}

async function look() {
  const asked = chosen;
  const answer = await ask(url, { ...(asked && { day: asked }), ...(shown && { held: shown.day, behind: known() }) });
  if (asked !== chosen) return;
  if (shown && answer.day !== shown.day) forget();
  shown = { ...answer, forecast: answer.forecast ?? shown?.forecast };
  for (const load of answer.loads) loads.set(load.start, load);
  draw();
}

function draw() {
  const day = shown.day ?? "Nothing reported yet";
  if (part("day").textContent !== day) part("day").textContent = day;
  if (!shown.day) return;
  const all = inOrder();
  const released = all.filter((load) => load.status === RELEASED);
  const intervals = withForecast(all);
  const withheld = all.filter((load) => load.status !== RELEASED && load.status !== WAITING);
  curve.show(steps(intervals, 5), shown.start, shown.end, withheld.map((load) => [load.start, load.end]));
  const sum = (name) => (released.length ? `${kwh(released.reduce((total, load) => total + load[name], 0))} kWh` : "–");
  part("import").textContent = sum("import_mwh");
  part("export").textContent = sum("export_mwh");
  const peak = released.reduce((most, load) => Math.max(most, kilowatts(load.import_mwh, load.end - load.start)), 0);
  part("peak").textContent = released.length ? `${peak.toFixed(3)} kW` : "–";
  const last = all.at(-1);
  part("contributors").textContent = last ? `${last.contributors} of ${last.expected}` : "–";
  tellWithheld(withheld);
  tellForetold(released);
  part("rows").replaceChildren(...all.map(lineOf).reverse());
}

// One row of values an interval: import, export, and what was forecast of the import: expected, low, high.
function withForecast(all) {
  const rows = new Map((shown.forecast ?? []).map((point) => [point.start, { start: point.start, end: point.end, point }]));
  for (const load of all) rows.set(load.start, { ...rows.get(load.start), start: load.start, end: load.end, load });
  return [...rows.values()].sort((a, b) => a.start - b.start).map(({ start, end, load, point }) => {
    const power = (mwh) => (mwh === null || mwh === undefined ? null : kilowatts(mwh, end - start));
    const decided = load?.status === RELEASED;
    if (!decided && !point) return { start, end, values: null };
    return {
      start, end,
      values: [
        decided ? power(load.import_mwh) : null, decided ? power(load.export_mwh) : null,
        power(point?.expected_mwh), power(point?.low_mwh), power(point?.high_mwh),
      ],
    };
  });
}

function tellForetold(released) {
  const points = new Map((shown.forecast ?? []).map((point) => [point.start, point]));
  const both = released.filter((load) => points.has(load.start) && load.import_mwh > 0);
  const errors = both.map((load) => Math.abs(points.get(load.start).expected_mwh - load.import_mwh) / load.import_mwh);
  const mean = errors.reduce((total, each) => total + each, 0) / errors.length;
  const told = !points.size ? "No forecast yet: it is made of whole days before this one."
    : `Forecast at midnight: ${kwh([...points.values()].reduce((total, point) => total + point.expected_mwh, 0))} kWh for the day`
      + (errors.length ? `; off by ${(mean * 100).toFixed(1)} % in the mean of ${errors.length} intervals so far.` : ".");
  if (part("foretold").textContent !== told) part("foretold").textContent = told;
  part("foretold").hidden = false;
}

function tellWithheld(withheld) {
  const reasons = new Map();
  for (const load of withheld) reasons.set(load.why, (reasons.get(load.why) ?? 0) + 1);
  const told = [...reasons].map(([why, count]) => `${count} ${count === 1 ? "interval" : "intervals"} withheld. ${why}`);
  part("withheld").textContent = told.join(" ");
  part("withheld").hidden = !told.length;
}

function lineOf(load) {
  const power = (mwh) => (mwh === null ? "–" : kilowatts(mwh, load.end - load.start).toFixed(3));
  return line(
    [clock(load.start, zone)],
    [power(load.import_mwh), "n"],
    [power(load.export_mwh), "n"],
    [`${load.contributors} of ${load.expected}`, "n"],
    load.status === RELEASED ? ["released"] : [load.why, "warn"],
  );
}

function choose(day) {
  chosen = day;
  forget();
  look().catch(() => tell("Connection lost; trying again."));
}

function tell(text) {
  const told = text || (chosen ? "" : "live");
  // Written only when it changes: a screen reader says it each time.
  if (part("state").textContent !== told) part("state").textContent = told;
  part("state").classList.toggle("live", !text && !chosen);
}

part("before").addEventListener("click", () => shown?.day && choose(shown.before));
part("after").addEventListener("click", () => shown?.day && choose(shown.after));
part("newest").addEventListener("click", () => choose(""));
keepAsking(look, tell);
