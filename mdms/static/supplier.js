// The supplier's load curve: one day of one neighbourhood, filling as reports come in.

import { ask, keepAsking } from "./asking.js";
import { Curve, steps } from "./curve.js";
import { clock, kilowatts, kwh } from "./figures.js";
import { line } from "./table.js";

const RELEASED = "released";
const WAITING = "waiting";

const place = document.getElementById("loads");
const part = (id) => document.getElementById(id);
const { url, zone } = place.dataset;
const curve = new Curve(part("chart"), zone);

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
  if (shown && answer.day !== shown.day) loads = new Map();
  shown = answer;
  for (const load of answer.loads) loads.set(load.start, load);
  draw();
}

function draw() {
  const day = shown.day ?? "Nothing reported yet";
  if (part("day").textContent !== day) part("day").textContent = day;
  if (!shown.day) return;
  const all = inOrder();
  const released = all.filter((load) => load.status === RELEASED);
  const intervals = all.map((load) => ({
    start: load.start,
    end: load.end,
    values: load.status === RELEASED
      ? [kilowatts(load.import_mwh, load.end - load.start), kilowatts(load.export_mwh, load.end - load.start)]
      : null,
  }));
  const withheld = all.filter((load) => load.status !== RELEASED && load.status !== WAITING);
  curve.show(steps(intervals, 2), shown.start, shown.end, withheld.map((load) => [load.start, load.end]));
  const sum = (name) => (released.length ? `${kwh(released.reduce((total, load) => total + load[name], 0))} kWh` : "–");
  part("import").textContent = sum("import_mwh");
  part("export").textContent = sum("export_mwh");
  const peak = released.reduce((most, load) => Math.max(most, kilowatts(load.import_mwh, load.end - load.start)), 0);
  part("peak").textContent = released.length ? `${peak.toFixed(3)} kW` : "–";
  const last = all.at(-1);
  part("contributors").textContent = last ? `${last.contributors} of ${last.expected}` : "–";
  tellWithheld(withheld);
  part("rows").replaceChildren(...all.map(lineOf).reverse());
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
