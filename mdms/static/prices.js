// What energy costs as it is used: the tariff's prices applied to readings, for the eye. A bill's exact amount is the bill's.

import { midnight, nextMidnight } from "./figures.js";
import { windowAt } from "./walls.js";

const SLOT_HOURS = 3; // protocol, chapter 12: bands hold whole windows
const MICRO = 1e6;
const DAYS = { all: [0, 1, 2, 3, 4, 5, 6], workdays: [0, 1, 2, 3, 4], weekend: [5, 6], saturday: [5], sunday: [6] };
const MWH_A_KWH = 1e6;

/** The versions of one tenancy's tariff, as the portal gives them: in order, each in force until the next. */
export class Prices {
  #versions;
  #bands = new Map();

  constructor(versions) {
    this.#versions = versions.map((version) => ({ ...version, table: table(version) }));
  }

  /** Return the currency, or null where there is no tariff. */
  get currency() {
    return this.#versions.at(-1)?.currency ?? null;
  }

  /** Return what readings that begin in from <= t < to come to with standing charge and tax, or null without a tariff. */
  cost(archive, from, to) {
    if (!this.#versions.length) return null;
    const netted = { taxed: 0, credit: 0, unpriced: false };
    const rates = this.#versions.map(({ tax_ppm: tax }) => 1 + tax / MICRO);
    archive.visit(from, to, (columns, at) => {
      const priced = this.#at(columns.end[at] - columns.length[at]);
      if (!priced) {
        netted.unpriced = true;
        return;
      }
      const { version, band } = priced;
      const { import_micro_per_kwh: price, export_micro_per_kwh: credit } = this.#versions[version].bands[band];
      netted.taxed += ((columns.importMwh[at] / MWH_A_KWH) * price * rates[version]) / MICRO;
      netted.credit += ((columns.exportMwh[at] / MWH_A_KWH) * credit) / MICRO;
    });
    if (netted.unpriced) return null;
    return netted.taxed - netted.credit + (archive.size ? this.#standing(archive, from, to) : 0);
  }

  /** Return the name of the band that a time is in, by the tariff of that name and version; null without it. */
  bandOf(at, name, version) {
    const found = this.#versions.find((each) => each.name === name && each.version === version);
    return found ? found.bands[band(found, at)].name : null;
  }

  /** Return {version, band} of a time, or null before the first tariff. */
  #at(time) {
    const key = Math.floor(time / 900); // no window begins within a quarter of an hour
    if (!this.#bands.has(key)) this.#bands.set(key, this.#look(time));
    return this.#bands.get(key);
  }

  #look(time) {
    let version = -1;
    this.#versions.forEach(({ valid_from: from }, i) => {
      if (from <= time) version = i;
    });
    return version < 0 ? null : { version, band: band(this.#versions[version], time) };
  }

  // Midnight to midnight of the wall. A day that is shown as a whole is charged as a whole once it has begun, as on the
  // bill, and so is the day of the first reading. One that a zoom cuts bears the share of its 23, 24 or 25 hours that is
  // shown: so an hour does not cost a day, and the parts of a day add up to it. A charge a period is left to the bill: it
  // is one for the whole of it.
  #standing(archive, from, to) {
    const { zone } = this.#versions.at(-1);
    const { first, last } = archive;
    let sum = 0;
    let next;
    for (let day = midnight(Math.max(from, first.end - first.length), zone); day < Math.min(to, last.end); day = next) {
      next = nextMidnight(day, zone);
      const version = this.#at(day)?.version;
      if (version === undefined) continue;
      const { standing_per: per, standing_micro: micro, tax_ppm: tax } = this.#versions[version];
      const share = Math.max(0, Math.min(to, next) - Math.max(from, day)) / (next - day);
      if (per === "day") sum += (micro / MICRO) * (1 + tax / MICRO) * share;
    }
    return sum;
  }
}

// By the wall clock of the window's start, as the key holder does it.
function band({ zone, table: bands }, at) {
  const { hour, weekday } = windowAt(at, zone);
  return bands[weekday * 8 + Math.floor(hour / SLOT_HOURS)];
}

function table({ bands }) {
  const found = new Array(7 * 8).fill(0);
  bands.forEach(({ times }, number) => {
    for (const { days, from_hour: from, to_hour: to } of times) {
      for (const day of DAYS[days]) for (let slot = from / 3; slot < to / 3; slot++) found[day * 8 + slot] = number;
    }
  });
  return found;
}
