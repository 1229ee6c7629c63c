// Energies, powers and times as people read them.

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
  return dayStart(...date(at, zone).split("-").map(Number), zone);
}

/** Return the midnight, in UTC seconds, that begins a date of a zone; days and months may overflow, as in Date.UTC. */
export function dayStart(year, month, day, zone) {
  const wanted = Date.UTC(year, month - 1, day) / 1000;
  const guess = wanted - offset(wanted, zone);
  // The clock may change in between: ask again at the guess.
  return wanted - offset(guess, zone);
}

function offset(at, zone) {
  const parts = {};
  const shape = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
  const format = formatter("whole", zone, { ...shape, hourCycle: "h23" }, "en-US");
  for (const { type, value } of format.formatToParts(at * 1000)) parts[type] = Number(value);
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) / 1000 - Math.floor(at);
}

const formatters = new Map();

function formatter(name, zone, options, locale = "en-GB") {
  const key = `${name} ${zone}`;
  if (!formatters.has(key)) formatters.set(key, new Intl.DateTimeFormat(locale, { ...options, timeZone: zone }));
  return formatters.get(key);
}
