// The customer's opened readings, in this page's memory only.

const SLACK_S = 1;

/** Readings {end, length, importMwh, ...} in order of time, each stretch once. */
export class History {
  #readings = [];
  #ends = new Set();

  /** Take over opened readings, in whatever order they came. */
  add(readings) {
    const fresh = readings.filter(({ end }) => !this.#ends.has(end));
    let sorted = true;
    for (const reading of fresh) {
      sorted &&= !this.#readings.length || this.#readings.at(-1).end < reading.end;
      this.#ends.add(reading.end);
      this.#readings.push(reading);
    }
    if (!sorted) this.#readings.sort((a, b) => a.end - b.end);
  }

  get size() {
    return this.#readings.length;
  }

  /** Return the newest reading, or undefined. */
  get last() {
    return this.#readings.at(-1);
  }

  /** Return the oldest reading, or undefined. */
  get first() {
    return this.#readings[0];
  }

  /** Return the readings that begin within from <= t < to, in order. */
  within(from, to) {
    return this.#readings.slice(this.#behind(from), this.#behind(to));
  }

  /** Return so many readings, newest first. */
  newest(count) {
    return this.#readings.slice(-count).reverse();
  }

  #behind(at) {
    let low = 0;
    let high = this.#readings.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (start(this.#readings[middle]) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Return when a reading's stretch began. */
export function start(reading) {
  return reading.end - reading.length;
}

/** Return the sum of an energy over readings, in mWh. */
export function total(readings, name) {
  return readings.reduce((sum, reading) => sum + reading[name], 0);
}

/** Return how many gaps are between readings. */
export function gaps(readings) {
  let count = 0;
  for (let i = 1; i < readings.length; i++) if (start(readings[i]) > readings[i - 1].end + SLACK_S) count++;
  return count;
}
