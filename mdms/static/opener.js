// A worker that opens sealed rows and answers questions about them, so that the page stays quick whatever a year holds.
//
// In: {keys, envelope, earlier: envelopes of replaced meters, zone}; {prices: the tariff's versions}; {rows: Uint8Array of whole rows, past}; {ask: name, from, to,
// against} for what is seen between two times and, with `against`, between two others; {ask: name, newest: count};
// {ask: name, check: bill, upTo: bills} (checking.js); {ask: name, prove: a bill's proof} (proving.js); {ask: name, take: "csv" or "xml", from, to} for a file.
// Out: {opened: whole count, failed, spentMs, last, first, pairs} behind each {rows}; {answer: name, ...} for each question, or
// {answer: name, broken: reason} where it has no answer; {fatal} where nothing opens with this key and these envelopes. Opened readings stay here: the page gets what it shows.

import { Archive } from "./archive.js";
import { Ccm } from "./ccm.js";
import { checkBill, checkUpTo } from "./checking.js";
import { toHex } from "./bytes.js";
import { DetailKeys } from "./keychain.js";
import { Prices } from "./prices.js";
import { NotProved, verifyProof } from "./proving.js";
import { openRow, parseHeader, ROW_BYTES } from "./rows.js";
import { openRoot } from "./sealing.js";
import { csv, greenButton } from "./taking.js";
import { view } from "./view.js";

const PAIRS = 3;
const PIECE = 1000; // rows, some hundredths of a second

const archive = new Archive();
const meters = new Map();
const titles = [];
const ciphers = new Map();
let owner = null;
let prices = new Prices([]);
let failed = 0;
let closed = 0; // meters for which there is no envelope
let spentMs = 0;
let pairs = [];
let busy = false;
// Strategy: questions go before rows, new rows before old ones, and rows are opened a piece at a time. So neither today
// nor an answer waits for a year that is being opened.
const asked = [];
const [present, past] = [[], []]; // {bytes, at}: rows, and from where on they are still to be opened
const turns = new MessageChannel();

self.addEventListener("message", ({ data }) => {
  if (data.rows) (data.past ? past : present).push({ bytes: data.rows, at: 0 });
  else asked.push(data);
  if (!busy) work();
});

async function work() {
  busy = true;
  while (asked.length || present.length || past.length) {
    if (asked.length) await answer(asked.shift());
    else await openPiece(present.length ? present : past);
    await turn();
  }
  busy = false;
}

// Messages that have come meanwhile are taken in.
function turn() {
  return new Promise((resolve) => {
    turns.port1.onmessage = resolve;
    turns.port2.postMessage(null);
  });
}

async function answer(data) {
  try {
    await take(data);
  } catch (error) {
    self.postMessage(failure(data, String(error?.message ?? error)));
  }
}

async function openPiece(queue) {
  const [rows] = queue;
  const piece = rows.bytes.subarray(rows.at, rows.at + PIECE * ROW_BYTES);
  rows.at += piece.length;
  const last = rows.at === rows.bytes.length;
  if (last) queue.shift();
  try {
    await open(piece);
  } catch (error) {
    self.postMessage(failure({}, String(error?.message ?? error)));
  }
  if (last) report();
}

// Whoever asked is told: a question without an answer would be waited for without end.
function failure({ ask }, reason) {
  return ask === undefined ? { fatal: reason } : { answer: ask, broken: reason };
}

async function take(data) {
  if (data.keys) owner = data;
  else if (data.prices) prices = new Prices(data.prices);
  else if (data.newest) self.postMessage({ answer: data.ask, readings: archive.newest(data.newest) });
  else if (data.check) self.postMessage({ answer: data.ask, ...check(data.check, data.upTo) });
  else if (data.prove) self.postMessage({ answer: data.ask, ...(await prove(data.prove)) });
  else if (data.take) self.postMessage({ answer: data.ask, file: await file(data.take, data.from, data.to) });
  else self.postMessage({ answer: data.ask, seen: see(data.from, data.to), before: data.against && see(...data.against) });
}

function see(from, to) {
  return { ...view(archive, from, to, owner.zone), cost: prices.cost(archive, from, to), currency: prices.currency };
}

function check(bill, upTo) {
  const bandOf = (one) => (at) => (one.tariff ? prices.bandOf(at, ...one.tariff) : null);
  return { ...checkBill(archive, bill, bandOf(bill)), upTo: checkUpTo(archive, upTo, () => null) };
}

async function prove(proof) {
  try {
    return { proved: await verifyProof(proof, owner.envelope.pseudonym) };
  } catch (error) {
    return { wrong: error instanceof NotProved ? error.message : "the proof is damaged" };
  }
}

async function file(kind, from, to) {
  if (kind === "csv") return new Blob(csv(archive, titles, from, to), { type: "text/csv" });
  const pieces = await greenButton(archive, titles, owner.envelope.pseudonym, from, to, Math.floor(Date.now() / 1000));
  return new Blob(pieces, { type: "application/xml" });
}

async function open(bytes) {
  const begun = performance.now();
  let key = "";
  let ccm = null;
  let meter = 0;
  for (let at = 0; at + ROW_BYTES <= bytes.length; at += ROW_BYTES) {
    const row = bytes.subarray(at, at + ROW_BYTES);
    const day = dayOf(row);
    if (day !== key) {
      ccm = await cipherOf(day, parseHeader(row));
      key = day;
      meter = numberOf(toHex(row.subarray(2, 10)));
    }
    try {
      const reading = { ...openRow(ccm, row), meter };
      archive.add(reading);
      remember(reading, row);
    } catch {
      failed++;
    }
  }
  spentMs += performance.now() - begun;
}

function report() {
  if (!archive.size && failed && closed === meters.size) {
    self.postMessage({ fatal: "Your key does not open this account's envelope." });
    return;
  }
  self.postMessage({ opened: archive.size, failed, spentMs, last: archive.last, first: archive.first, pairs });
}

function numberOf(title) {
  if (!titles.includes(title)) titles.push(title);
  return titles.indexOf(title);
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

/** Return the cipher of a row's day, or null where no envelope is for its meter or the day is before the enrolment. */
async function cipherOf(day, { title, epoch }) {
  if (!ciphers.has(day)) {
    const meter = title.join();
    if (!meters.has(meter)) meters.set(meter, await keysOf(title));
    const key = (await meters.get(meter)?.at(epoch)) ?? null;
    ciphers.set(day, key && new Ccm(key));
  }
  return ciphers.get(day);
}

async function keysOf(title) {
  for (const envelope of [owner.envelope, ...owner.earlier.map((one) => one.envelope)]) {
    try {
      return await DetailKeys.of(await openRoot(owner.keys, envelope, title), envelope.epoch);
    } catch {
      // Another meter's: the title is part of what an envelope is sealed to.
    }
  }
  closed++;
  return null;
}
