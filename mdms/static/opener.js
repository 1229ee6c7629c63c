// A worker that opens sealed rows and answers questions about them, so that the page stays quick whatever a year holds.
//
// In: {keys, envelope, zone}; {prices: the tariff's versions}; {rows: Uint8Array of whole rows}; {ask: name, from, to,
// against} for what is seen between two times and, with `against`, between two others; {ask: name, newest: count}.
// Out: {opened: whole count, failed, spentMs, last, first, pairs} behind each {rows}; {answer: name, ...} for each question;
// {fatal} where the envelope does not open. Opened readings stay here: the page gets what it shows.

import { Archive } from "./archive.js";
import { Ccm } from "./ccm.js";
import { DetailKeys } from "./keychain.js";
import { Prices } from "./prices.js";
import { openRow, parseHeader, ROW_BYTES } from "./rows.js";
import { openRoot } from "./sealing.js";
import { view } from "./view.js";

const PAIRS = 3;

const archive = new Archive();
const meters = new Map();
const ciphers = new Map();
let owner = null;
let prices = new Prices([]);
let failed = 0;
let spentMs = 0;
let pairs = [];
let work = Promise.resolve();

self.addEventListener("message", ({ data }) => {
  // One after the other: what comes first is answered first.
  work = work.then(() => take(data)).catch((error) => self.postMessage({ fatal: String(error?.message ?? error) }));
});

async function take(data) {
  if (data.keys) owner = data;
  else if (data.prices) prices = new Prices(data.prices);
  else if (data.rows) await open(data.rows);
  else if (data.newest) self.postMessage({ answer: data.ask, readings: archive.newest(data.newest) });
  else self.postMessage({ answer: data.ask, seen: see(data.from, data.to), before: data.against && see(...data.against) });
}

function see(from, to) {
  return { ...view(archive, from, to, owner.zone), cost: prices.cost(archive, from, to), currency: prices.currency };
}

async function open(bytes) {
  const begun = performance.now();
  let meter = "";
  let ccm = null;
  for (let at = 0; at + ROW_BYTES <= bytes.length; at += ROW_BYTES) {
    const row = bytes.subarray(at, at + ROW_BYTES);
    const day = dayOf(row);
    if (day !== meter) {
      try {
        ccm = await cipherOf(day, parseHeader(row));
      } catch {
        self.postMessage({ fatal: "Your key does not open this account's envelope." });
        return;
      }
      meter = day;
    }
    try {
      const reading = openRow(ccm, row);
      archive.add(reading);
      remember(reading, row);
    } catch {
      failed++;
    }
  }
  spentMs += performance.now() - begun;
  self.postMessage({ opened: archive.size, failed, spentMs, last: archive.last, first: archive.first, pairs });
}

function dayOf(row) {
  // Title and epoch, bytes 2 to 12 of the header: those of one key.
  return String.fromCharCode(...row.subarray(2, 12));
}

function remember(reading, row) {
  if (pairs.length === PAIRS && reading.end <= pairs[0].reading.end) return;
  if (pairs.some((pair) => pair.reading.end === reading.end)) return;
  pairs = [...pairs, { reading, row: row.slice() }].sort((a, b) => a.reading.end - b.reading.end).slice(-PAIRS);
}

async function cipherOf(day, { title, epoch }) {
  if (!ciphers.has(day)) {
    const meter = title.join();
    if (!meters.has(meter)) meters.set(meter, await keysOf(title));
    const key = await meters.get(meter).at(epoch);
    ciphers.set(day, key === null ? null : new Ccm(key));
  }
  return ciphers.get(day);
}

async function keysOf(title) {
  return await DetailKeys.of(await openRoot(owner.keys, owner.envelope, title), owner.envelope.epoch);
}
