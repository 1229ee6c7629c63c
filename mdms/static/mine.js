// What the customer sees once rows are open: curve, figures, sealed beside opened. The worker holds the readings.

import { comparable, compared } from "./comparing.js";
import { showCurveTable } from "./curve_table.js";
import { date, moment } from "./figures.js";
import { showAge, showFigures, showNewest, showPairs } from "./own_figures.js";
import { part, write } from "./parts.js";
import { saveAs } from "./saving.js";
import { earlierBy, RANGES, span } from "./spans.js";
import { closer, shifted, wider } from "./zooming.js";

// Loaded beside the page and not before it: the chart's library is the largest piece of script here.
const charts = import("./energy_chart.js");
charts.catch(() => {}); // told where it is drawn

const READINGS = 60;
const AGE_MS = 5000;
const BROKEN = "Something went wrong while adding your readings up; nothing is lost. Load the page again.";
const NOW = { day: "today", week: "this week", month: "this month", year: "this year" };

const HANDS_TO = { earlier: "later", later: "earlier", closer: "wider", wider: "closer", whole: "closer" };

/** The customer's part of the page, for a neighbourhood's time zone. `question(what)` asks the worker and returns a promise. */
export class Mine {
  #zone;
  #question;
  #chart;
  #state = { opened: 0, failed: 0, spentMs: 0, last: null, first: null, pairs: [] };
  #range = "day";
  #back = 0;
  #zoom = null;
  #whole = null;
  #due = false;
  #asking = false;

  constructor(zone, question) {
    this.#zone = zone;
    this.#question = question;
    this.#chart = this.#makeChart();
    this.#chart.catch(() => {});
    for (const range of RANGES) part(`range-${range}`).addEventListener("click", () => this.#choose(range));
    part("earlier").addEventListener("click", () => this.#step(1));
    part("later").addEventListener("click", () => this.#step(-1));
    part("closer").addEventListener("click", () => this.#zoomIn());
    part("wider").addEventListener("click", () => this.#zoomOut());
    part("whole").addEventListener("click", () => this.#zoomTo());
    for (const kind of ["csv", "xml"]) part(`take-${kind}`).addEventListener("click", () => this.#take(kind).catch(() => this.#warn(BROKEN)));
    part("compare").addEventListener("change", () => this.#drawSoon());
    for (const id of ["readings", "curve-rows"]) part(id).closest("details").addEventListener("toggle", () => this.#drawSoon());
    setInterval(() => showAge(this.#state.last, this.#zone), AGE_MS);
  }

  /** Take what the worker says of itself after opening rows. */
  take(state) {
    if (state.fatal) {
      this.#warn(state.fatal);
      return;
    }
    this.#state = state;
    this.#drawSoon();
  }

  /** Show what the worker has been told of prices: they may come after the rows. */
  reprice() {
    this.#drawSoon();
  }

  /** Show how far opening has come: `left` rows are still to be fetched. */
  progress(left) {
    const whole = this.#state.opened + left;
    part("progress").hidden = left === 0;
    part("progress").max = whole || 1;
    part("progress").value = this.#state.opened;
    part("progress-text").textContent = left ? `Opening older readings: ${left.toLocaleString("en")} to go.` : "";
  }

  /** Say that all is well (""), or what is wrong. */
  tell(text) {
    write("state", text || "live");
    part("state").classList.toggle("live", !text);
  }

  // In a task of its own, behind the one that shows the page.
  async #makeChart() {
    const { EnergyChart } = await charts;
    await nextTask();
    return new EnergyChart(part("chart"), this.#zone, (from, to) => this.#zoomTo(from, to));
  }

  #warn(text) {
    part("failed").textContent = text;
    part("failed").hidden = false;
  }

  #choose(range) {
    this.#range = range;
    this.#back = 0;
    this.#zoom = null;
    for (const each of RANGES) part(`range-${each}`).setAttribute("aria-pressed", String(each === range));
    this.#drawSoon();
  }

  // 1 is earlier, -1 later: by spans, or while zoomed by the width of the window.
  #step(by) {
    if (this.#zoom) this.#zoom = shifted(this.#zoom, -by, this.#whole);
    else this.#back = Math.max(0, this.#back + by);
    this.#drawSoon();
  }

  #zoomTo(from, to) {
    this.#zoom = from === undefined ? null : { from: Math.max(from, this.#whole.from), to: Math.min(to, this.#whole.to) };
    this.#drawSoon();
  }

  #zoomIn() {
    if (!this.#whole) return;
    this.#zoom = closer(this.#zoom ?? this.#whole) ?? this.#zoom;
    this.#drawSoon();
  }

  #zoomOut() {
    this.#zoom = this.#zoom && wider(this.#zoom, this.#whole);
    this.#drawSoon();
  }

  // Many batches may come before the next frame, or before the worker has answered: ask once.
  #drawSoon() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      if (this.#asking) return;
      this.#asking = true;
      this.#due = false;
      this.#draw().catch(() => this.#warn(BROKEN)).finally(() => {
        this.#asking = false;
        if (this.#due) {
          this.#due = false;
          this.#drawSoon();
        }
      });
    });
  }

  async #draw() {
    const { last, first, failed } = this.#state;
    part("failed").textContent = `${failed} stored rows do not open with your key, or were changed. They are left out.`;
    part("failed").hidden = failed === 0;
    if (!last) return;
    const newest = last.end - last.length;
    const whole = span(this.#range, newest, this.#back, this.#zone);
    const zoom = this.#zoom;
    this.#whole = whole;
    const { from, to } = zoom ?? whole;
    const earlier = part("compare").checked && span(this.#range, newest, this.#back + 1, this.#zone);
    const { seen, before } = await this.#question({ from, to, against: earlier && this.#against(zoom, earlier) });
    const state = this.#state; // of the same rows: the worker says it before it answers
    (await this.#chart).show(seen, before);
    await nextTask();
    this.#controls(whole, zoom, first);
    showFigures(seen, state, { zone: this.#zone, when: this.#when(), zoomed: Boolean(zoom) });
    showPairs(this.#state.pairs, this.#zone);
    if (part("curve-rows").closest("details").open) showCurveTable(seen, before, { first, last }, this.#zone);
    if (part("readings").closest("details").open) showNewest((await this.#question({ newest: READINGS })).readings, this.#zone);
    await this.#compare(earlier && comparable(this.#range, whole, zoom, earlier, last.end, this.#zone), earlier);
  }

  // As long as what is shown, so that the steps of both lie over each other; a whole span before may be another number of days.
  #against(zoom, earlier) {
    if (!zoom) return [earlier.from, earlier.to];
    const begin = earlierBy(this.#range, zoom.from, this.#zone);
    return [begin, begin + zoom.to - zoom.from];
  }

  // Only what both have: a day that is not over is set against the same hours.
  async #compare(both, wanted) {
    let text = wanted ? "There is nothing before to compare with." : "";
    if (both) {
      const { seen, before } = await this.#question({ from: both.now[0], to: both.now[1], against: both.then });
      text = compared(both, seen.sums, before.sums);
    }
    write("compared", text);
  }

  // Made by the worker and given to the browser's downloads: it goes to no server.
  async #take(kind) {
    const { last } = this.#state;
    if (!last) return;
    const { from, to } = this.#zoom ?? span(this.#range, last.end - last.length, this.#back, this.#zone);
    const { file } = await this.#question({ take: kind, from, to });
    saveAs(file, `hushmeter-${date(from, this.#zone)}-${date(to - 1, this.#zone)}.${kind}`);
  }

  #controls(whole, zoom, first) {
    write("span-title", zoom ? `${moment(zoom.from, this.#zone)} to ${moment(zoom.to, this.#zone)}` : whole.title);
    allow({
      earlier: zoom ? zoom.from > whole.from : whole.from > first.end - first.length,
      later: zoom ? zoom.to < whole.to : this.#back > 0,
      closer: Boolean(closer(zoom ?? whole)),
      wider: Boolean(zoom),
      whole: Boolean(zoom),
    });
    part("whole").hidden = !zoom;
  }

  // The time shown, in words beside the figures.
  #when() {
    return this.#zoom || this.#back ? "in the time shown" : NOW[this.#range];
  }
}

// A long task keeps whoever presses a button waiting: between two pieces of work the page looks after them.
function nextTask() {
  return new Promise((resolve) => setTimeout(resolve));
}

// A button that can do nothing any more hands the focus to one that can: from a disabled one no key goes on.
function allow(can) {
  const focused = document.activeElement?.id;
  for (const id of Object.keys(can)) part(id).disabled = !can[id];
  if (can[focused] !== false) return;
  const next = Object.keys(can).find((id) => can[id]) ?? "title";
  part(HANDS_TO[focused] && can[HANDS_TO[focused]] ? HANDS_TO[focused] : next).focus();
}
