// Energies, powers and times as people read them.

import { wall, wallOf } from "./walls.js";

/** Return an energy in mWh as kWh to the watt-hour. */
export function kwh(mwh) {
  return mwh === null ? "–" : (mwh / 1e6).toFixed(3);
}

/** Return the mean power in kW of an energy in mWh over so many seconds. */
export function kilowatts(mwh, seconds) {
  return (mwh * 3600) / seconds / 1e6;
}

/** Return hours and minutes on a zone's wall clock. */
export function clock(at, zone) {
  return formatter("clock", zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at * 1000);
}

/** Return date and time on a zone's wall clock. */
export function moment(at, zone) {
  return `${date(at, zone)} ${clock(at, zone)}`;
}

/** Return the date on a zone's wall clock, YYYY-MM-DD. */
export function date(at, zone) {
  return formatter("date", zone, { year: "numeric", month: "2-digit", day: "2-digit" }, "en-CA").format(at * 1000);
}

/** Return the midnight, in UTC seconds, that begins the local day of a time. */
export function midnight(at, zone) {
  const [year, month, day] = wallOf(at, zone);
  return wall(year, month, day, 0, zone);
}

/** Return the midnight, in UTC seconds, that ends the local day of a time, be it of 23, 24 or 25 hours. */
export function nextMidnight(at, zone) {
  return midnight(midnight(at, zone) + 36 * 3600, zone);
}

const formatters = new Map();

function formatter(name, zone, options, locale = "en-GB") {
  const key = `${name} ${zone}`;
  if (!formatters.has(key)) formatters.set(key, new Intl.DateTimeFormat(locale, { ...options, timeZone: zone }));
  return formatters.get(key);
}
