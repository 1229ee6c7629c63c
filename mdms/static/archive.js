// The customer's opened readings, in the worker's memory only: columns of numbers, by days of UTC, each stretch once.
//
// Strategy: rows come newest first and in any order, half a million for a year. A shelf a day keeps every insertion
// small, and a question looks at the shelves that it is about.

const DAY_S = 86_400;
const FIRST_SIZE = 256;
export const COLUMNS = [
  "end", "length", "importMwh", "exportMwh", "importRegister", "exportRegister", "volts", "amperes", "powerFactor", "quality",
  "meter",
];

/** The readings that begin within one day of UTC, in order of time. */
class Shelf {
  count = 0;
  columns = Object.fromEntries(COLUMNS.map((name) => [name, new Float64Array(FIRST_SIZE)]));

  /** Take a reading; returns whether it was new. */
  add(reading) {
    const { end } = this.columns;
    const at = place(end, this.count, reading.end);
    if (at < this.count && end[at] === reading.end) return false;
    if (this.count === end.length) this.#grow();
    for (const name of COLUMNS) {
      const column = this.columns[name];
      if (at < this.count) column.copyWithin(at + 1, at, this.count);
      column[at] = reading[name];
    }
    this.count++;
    return true;
  }

  #grow() {
    for (const name of COLUMNS) {
      const larger = new Float64Array(2 * this.count);
      larger.set(this.columns[name]);
      this.columns[name] = larger;
    }
  }

  reading(at) {
    return Object.fromEntries(COLUMNS.map((name) => [name, this.columns[name][at]]));
  }
}

function place(sorted, count, wanted) {
  if (!count || sorted[count - 1] < wanted) return count; // mostly they come in order
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Readings {end, length, importMwh, ...} (COLUMNS; NaN: not measured), times in UTC seconds, energies in mWh. `meter` is
 * a number of whoever opens them.
 */
export class Archive {
  #shelves = new Map();
  #days = [];
  size = 0;

  /** Take a reading over, in whatever order it came; returns whether it was new. */
  add(reading) {
    const day = Math.floor(start(reading) / DAY_S);
    let shelf = this.#shelves.get(day);
    if (!shelf) {
      shelf = new Shelf();
      this.#shelves.set(day, shelf);
      this.#days.splice(place(this.#days, this.#days.length, day), 0, day);
    }
    const fresh = shelf.add(reading);
    if (fresh) this.size++;
    return fresh;
  }

  /** Return the oldest reading, or undefined. */
  get first() {
    return this.#days.length ? this.#shelves.get(this.#days[0]).reading(0) : undefined;
  }

  /** Return the newest reading, or undefined. */
  get last() {
    if (!this.#days.length) return undefined;
    const shelf = this.#shelves.get(this.#days.at(-1));
    return shelf.reading(shelf.count - 1);
  }

  /** Return so many readings, newest first. */
  newest(count) {
    const found = [];
    for (let i = this.#days.length - 1; i >= 0 && found.length < count; i--) {
      const shelf = this.#shelves.get(this.#days[i]);
      for (let at = shelf.count - 1; at >= 0 && found.length < count; at--) found.push(shelf.reading(at));
    }
    return found;
  }

  /** Call `visit(columns, at)` for every reading that begins in from <= t < to, in order. */
  visit(from, to, visit) {
    const firstDay = place(this.#days, this.#days.length, Math.floor(from / DAY_S));
    for (let i = firstDay; i < this.#days.length && this.#days[i] * DAY_S < to; i++) {
      const { count, columns } = this.#shelves.get(this.#days[i]);
      for (let at = 0; at < count; at++) {
        const begun = columns.end[at] - columns.length[at];
        if (begun >= to) return;
        if (begun >= from) visit(columns, at);
      }
    }
  }
}

/** Return when a reading's stretch began. */
export function start(reading) {
  return reading.end - reading.length;
}
