// How old the newest reading is: the power of hours ago is not what a home draws now.

import { clock, moment } from "./figures.js";

const INTERVALS = 5;
const LEAST_S = 300; // a meter may hold minutes back for up to three
const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

/** Return when the newest reading was, in words, by the server's clock (UTC seconds): "Now", or the time and how long ago. */
export function whenRead(last, now, zone) {
  const age = now - last.end;
  if (age <= Math.max(INTERVALS * last.length, LEAST_S)) return "Now";
  if (age < 90 * MINUTE_S) return `At ${clock(last.end, zone)}, ${Math.round(age / MINUTE_S)} min ago`;
  if (age < 20 * HOUR_S) return `At ${clock(last.end, zone)}, ${Math.round(age / HOUR_S)} h ago`;
  if (age < 2 * DAY_S) return `At ${moment(last.end, zone)}, ${Math.round(age / HOUR_S)} h ago`;
  return `At ${moment(last.end, zone)}, ${Math.round(age / DAY_S)} days ago`;
}
