// What the customer sees once the rows are open: curve, figures, sealed beside opened, bills.

import { toHex } from "./bytes.js";
import { Curve, steps } from "./curve.js";
import { date, kilowatts, kwh, midnight, moment } from "./figures.js";
import { gaps, History, start, total } from "./history.js";
import { ROW_BYTES } from "./rows.js";
import { line } from "./table.js";

const DAY_S = 86_400;
const PAIRS = 3;
const READINGS = 60;
const SPANS = { day: "today", week: "in 7 days", all: "in all" };

const part = (id) => document.getElementById(id);

/** The customer's part of the page, for a neighbourhood's time zone. */
export class Mine {
  #zone;
  #curve;
  #history = new History();
  #sealed = [];
  #failed = 0;
  #range = "day";
  #due = false;

  constructor(zone) {
    this.#zone = zone;
    this.#curve = new Curve(part("chart"), zone);
    for (const button of document.querySelectorAll("[data-range]")) {
      button.addEventListener("click", () => this.#choose(button.dataset.range));
    }
  }

  /** Take what the worker opened. */
  take({ opened, rows, failed, stride, fatal }) {
    if (fatal) {
      part("failed").textContent = fatal;
      part("failed").hidden = false;
      return;
    }
    const readings = [];
    for (let at = 0; at < opened.length; at += stride) {
      const [index, end, length, importMwh, exportMwh, volts, amperes, powerFactor, quality] = opened.subarray(at, at + stride);
      readings.push({ index, end, length, importMwh, exportMwh, volts, amperes, powerFactor, quality });
    }
    this.#history.add(readings);
    this.#failed += failed;
    const pairs = readings.slice(-PAIRS).map((reading) => {
      const from = reading.index * ROW_BYTES;
      return { reading, row: rows.slice(from, from + ROW_BYTES) };
    });
    this.#sealed = [...this.#sealed, ...pairs].sort((a, b) => a.reading.end - b.reading.end).slice(-PAIRS);
    this.#drawSoon();
  }

  /** Take the account's bills. */
  takeBills({ tariff, bills }) {
    part("price").textContent = tariff ? `${tariff}.` : "";
    const lines = bills.map((bill) => {
      const estimated = bill.estimated ? `estimate: intervals missing or estimated in ${bill.estimated} of ${bill.windows} windows` : "";
      const adjusted = bill.adjusted ? `adjustment: ${bill.adjusted} windows of earlier periods` : "";
      const bands = bill.sums.filter((sum) => sum.bands.length).map((sum) => `${sum.bands.join("+")} ${kwh(sum.import_mwh)} kWh`);
      const said = [bands.join(", "), estimated, adjusted].filter((text) => text).join("; ");
      const remark = bill.status === "released" ? said : bill.why;
      return line([bill.period], [kwh(bill.import_mwh), "n"], [kwh(bill.export_mwh), "n"], [bill.amount ?? "–", "n"], [remark]);
    });
    if (!lines.length) lines.push(line(["No period has ended yet."]));
    part("bills").replaceChildren(...lines);
  }

  /** Say that all is well (""), or what is wrong. */
  tell(text) {
    // Written only when it changes: a screen reader says it each time.
    if (part("state").textContent !== (text || "live")) part("state").textContent = text || "live";
    part("state").classList.toggle("live", !text);
  }

  #choose(range) {
    this.#range = range;
    for (const button of document.querySelectorAll("[data-range]")) {
      button.setAttribute("aria-pressed", String(button.dataset.range === range));
    }
    this.#drawSoon();
  }

  // Many batches may come before the next frame: draw once.
  #drawSoon() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw() {
    const { last } = this.#history;
    part("failed").textContent = `${this.#failed} stored rows do not open with your key, or were changed. They are left out.`;
    part("failed").hidden = this.#failed === 0;
    if (!last) return;
    const [from, to] = this.#span();
    const readings = this.#history.within(from, to);
    const intervals = readings.map((reading) => ({
      start: start(reading),
      end: reading.end,
      values: [kilowatts(reading.importMwh, reading.length), kilowatts(reading.exportMwh, reading.length)],
    }));
    this.#curve.show(steps(intervals, 2), from, to);
    this.#figures(readings, last);
    this.#pairs();
    part("readings").replaceChildren(...this.#history.newest(READINGS).map((reading) => this.#reading(reading)));
  }

  #span() {
    const { first, last } = this.#history;
    const today = midnight(start(last), this.#zone);
    // The next midnight, on a day of 25 hours too.
    const tomorrow = midnight(today + 1.5 * DAY_S, this.#zone);
    if (this.#range === "day") return [today, tomorrow];
    return [this.#range === "week" ? midnight(today - 5.5 * DAY_S, this.#zone) : start(first), tomorrow];
  }

  #figures(readings, last) {
    const net = kilowatts(last.importMwh - last.exportMwh, last.length) * 1000;
    part("now").textContent = `${net.toFixed(0)} W`;
    for (const [id, name] of [["import", "importMwh"], ["export", "exportMwh"]]) {
      const sum = total(readings, name);
      part(id).textContent = `${kwh(sum)} kWh`;
      part(id).dataset.mwh = String(sum);
    }
    for (const span of document.querySelectorAll(".span")) span.textContent = SPANS[this.#range];
    part("last").textContent = moment(last.end, this.#zone);
    const missing = gaps(readings);
    const told = missing ? ` ${missing} ${missing === 1 ? "gap" : "gaps"} in the time shown.` : "";
    part("opened").textContent = `${this.#history.size} readings opened since ${date(start(this.#history.first), this.#zone)}.${told}`;
    part("opened").dataset.count = String(this.#history.size);
  }

  #pairs() {
    part("pairs").replaceChildren(
      ...[...this.#sealed].reverse().map(({ reading, row }) => {
        const pair = document.createElement("div");
        const sealed = document.createElement("code");
        const opened = document.createElement("p");
        sealed.textContent = toHex(row);
        const volts = Number.isNaN(reading.volts) ? "" : `, ${reading.volts.toFixed(1)} V`;
        const energies = `${watthours(reading.importMwh)} Wh in, ${watthours(reading.exportMwh)} Wh out`;
        opened.textContent = `${moment(reading.end, this.#zone)}: ${energies}${volts}`;
        pair.append(sealed, opened);
        return pair;
      }),
    );
  }

  #reading(reading) {
    const number = (value, digits) => (Number.isNaN(value) ? "–" : value.toFixed(digits));
    return line(
      [moment(reading.end, this.#zone)],
      [watthours(reading.importMwh), "n"],
      [watthours(reading.exportMwh), "n"],
      [number(reading.volts, 1), "n"],
      [number(reading.amperes, 2), "n"],
      [number(reading.powerFactor, 3), "n"],
    );
  }
}

function watthours(mwh) {
  return (mwh / 1000).toFixed(3);
}
