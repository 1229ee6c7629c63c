// A worker that opens sealed rows, so that the page stays quick. It is given the keys, then rows as they come.
//
// In: {keys, envelope}, then {rows: Uint8Array of whole rows}. Out, for each: {opened: Float64Array, rows, failed} with
// STRIDE numbers for an opened row (NaN: not measured), or {fatal} where the envelope does not open.

import { Ccm } from "./ccm.js";
import { DetailKeys } from "./keychain.js";
import { openRow, parseHeader, ROW_BYTES } from "./rows.js";
import { openRoot } from "./sealing.js";

const STRIDE = 9;

let owner = null;
const meters = new Map();
const ciphers = new Map();
let work = Promise.resolve();

self.addEventListener("message", ({ data }) => {
  // One after the other: what comes first is answered first.
  work = work.then(() => (data.keys ? begin(data) : open(data.rows)));
});

function begin(data) {
  owner = data;
}

async function open(bytes) {
  const found = [];
  let failed = 0;
  for (let at = 0; at + ROW_BYTES <= bytes.length; at += ROW_BYTES) {
    const row = bytes.slice(at, at + ROW_BYTES);
    let ccm;
    try {
      ccm = await cipherOf(parseHeader(row));
    } catch {
      self.postMessage({ fatal: "Your key does not open this account's envelope." });
      return;
    }
    try {
      const detail = openRow(ccm, row);
      found.push(
        at / ROW_BYTES, detail.end, detail.length, detail.importMwh, detail.exportMwh,
        detail.volts ?? NaN, detail.amperes ?? NaN, detail.powerFactor ?? NaN, detail.quality,
      );
    } catch {
      failed++;
    }
  }
  const opened = Float64Array.from(found);
  self.postMessage({ opened, rows: bytes, failed, stride: STRIDE }, [opened.buffer]);
}

async function cipherOf({ title, epoch }) {
  const meter = title.join();
  const day = `${meter}/${epoch}`;
  if (!ciphers.has(day)) {
    if (!meters.has(meter)) meters.set(meter, await keysOf(title));
    const key = await meters.get(meter).at(epoch);
    ciphers.set(day, key === null ? null : new Ccm(key));
  }
  return ciphers.get(day);
}

async function keysOf(title) {
  return await DetailKeys.of(await openRoot(owner.keys, owner.envelope, title), owner.envelope.epoch);
}
