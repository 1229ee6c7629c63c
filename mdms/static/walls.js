// Wall clocks of time zones: what a wall shows in UTC seconds, and the billing windows that are cut by it (protocol, chapter 4).

const DAY_S = 86_400;
const WINDOW_S = 10_800;

/** Return the UTC seconds of a wall's date and hour; days, months and hours may overflow, as in Date.UTC. */
export function wall(year, month, day, hour, zone) {
  const wanted = Date.UTC(year, month - 1, day, hour) / 1000;
  const before = offset(wanted - DAY_S, zone);
  const after = offset(wanted + DAY_S, zone);
  // Of two equal times the first; one that does not exist is read as the clock stood before.
  if (before === after || offset(wanted - before, zone) === before || offset(wanted - after, zone) !== after) return wanted - before;
  return wanted - after;
}

/** Return {start, hour, weekday} of the billing window that holds a time: three hours of the wall, or more where they were cut shorter. */
export function windowAt(at, zone) {
  const day = Math.floor(at / DAY_S);
  const key = `${day} ${zone}`;
  if (!windows.has(key)) windows.set(key, windowsAround(day * DAY_S, zone));
  return windows.get(key).findLast(({ start }) => start <= at);
}

const windows = new Map();

// Those of a day of UTC, from the one before it on.
function windowsAround(at, zone) {
  const [year, month, day] = wallOf(at, zone);
  let kept = wall(year, month, day - 2, 21, zone);
  const found = [];
  for (let hour = -24; hour <= 72; hour += 3) {
    const edge = wall(year, month, day, hour, zone);
    if (edge - kept < WINDOW_S) continue;
    kept = edge;
    const [, , , shown, weekday] = wallOf(edge, zone);
    found.push({ start: edge, hour: shown, weekday });
  }
  return found;
}

/** Return [year, month, day, hour, weekday], Monday 0, on a zone's wall. */
export function wallOf(at, zone) {
  const shifted = new Date((at + offset(at, zone)) * 1000);
  const weekday = (shifted.getUTCDay() + 6) % 7;
  return [shifted.getUTCFullYear(), shifted.getUTCMonth() + 1, shifted.getUTCDate(), shifted.getUTCHours(), weekday];
}

const formats = new Map();

function offset(at, zone) {
  if (!formats.has(zone)) {
    const shape = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
    formats.set(zone, new Intl.DateTimeFormat("en-US", { ...shape, hourCycle: "h23", timeZone: zone }));
  }
  const parts = {};
  for (const { type, value } of formats.get(zone).formatToParts(at * 1000)) parts[type] = Number(value);
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) / 1000 - Math.floor(at);
}
