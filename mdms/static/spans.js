// Days, weeks, months and years on a zone's wall clock, counted back from the one that holds a time.

import { date } from "./figures.js";
import { wall, wallOf } from "./walls.js";

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
export const RANGES = ["day", "week", "month", "year"];

/** Return {from, to, title} of the `back`th day, week, month or year before the one that holds `at` (UTC seconds). */
export function span(range, at, back, zone) {
  const [year, month, day, , weekday] = wallOf(at, zone);
  const begin = (y, m, d) => wall(y, m, d, 0, zone);
  if (range === "day") {
    const from = begin(year, month, day - back);
    return { from, to: begin(year, month, day - back + 1), title: date(from, zone) };
  }
  if (range === "week") {
    const monday = day - weekday - 7 * back;
    const [from, to] = [begin(year, month, monday), begin(year, month, monday + 7)];
    return { from, to, title: `${date(from, zone)} to ${date(to - 1, zone)}` };
  }
  if (range === "month") {
    const from = begin(year, month - back, 1);
    const [y, m] = wallOf(from, zone);
    return { from, to: begin(y, m + 1, 1), title: `${MONTHS[m - 1]} ${y}` };
  }
  return { from: begin(year - back, 1, 1), to: begin(year - back + 1, 1, 1), title: String(year - back) };
}

/** Return the same date and time on the wall a day, week, month or year before a time; a 31st may overflow into a next month. */
export function earlierBy(range, at, zone) {
  const [year, month, day, hour] = wallOf(at, zone);
  const rest = at - wall(year, month, day, hour, zone);
  const [years, months, days] = { day: [0, 0, 1], week: [0, 0, 7], month: [0, 1, 0], year: [1, 0, 0] }[range];
  return wall(year - years, month - months, day - days, hour, zone) + rest;
}
