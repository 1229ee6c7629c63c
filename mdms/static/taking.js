// The customer's own files, made here: CSV (RFC 4180) and Green Button (ESPI, NAESB REQ.21). They go to no server.
//
// The same columns, codes and ids as the command-line twin writes (scripts/customer_agent/espi.py says what they mean).

import { ascii, concat, fromHex, toHex } from "./bytes.js";
import { ESTIMATES } from "./quality.js";

const ATOM = "http://www.w3.org/2005/Atom";
const ESPI = "http://naesb.org/espi";
const NAMESPACE = "6f7b4bb46a0f5b0e9c4e2f4ad1f0c9a1";
const DAY_S = 86_400;
const RAW = 14;
const QUESTIONABLE = 10;
const DIRECTIONS = [["import", 1, "importMwh"], ["export", 19, "exportMwh"]];
const HEADINGS = [
  "meter", "start", "end", "import_kwh", "export_kwh", "import_register_kwh", "export_register_kwh",
  "voltage_v", "current_a", "power_factor", "quality",
];

/** Return the lines of a CSV file of the readings that begin in from <= t < to; `titles`: the meters' in hex. */
export function csv(archive, titles, from, to) {
  const lines = [`${HEADINGS.join(",")}\r\n`];
  const measured = (value, digits) => (Number.isNaN(value) ? "" : value.toFixed(digits));
  archive.visit(from, to, (columns, at) => {
    const cells = [
      titles[columns.meter[at]],
      iso(columns.end[at] - columns.length[at]),
      iso(columns.end[at]),
      kwh(columns.importMwh[at]),
      kwh(columns.exportMwh[at]),
      kwh(columns.importRegister[at]),
      kwh(columns.exportRegister[at]),
      measured(columns.volts[at], 1),
      measured(columns.amperes[at], 2),
      measured(columns.powerFactor[at], 3),
      columns.quality[at],
    ];
    lines.push(`${cells.join(",")}\r\n`);
  });
  return lines;
}

/** Return the pieces of an ESPI file of the readings that begin in from <= t < to; `now`: when it is made, UTC seconds. */
export async function greenButton(archive, titles, account, from, to, now) {
  const feed = new Feed(iso(now));
  const point = `RetailCustomer/${account}/UsagePoint/1`;
  await feed.start();
  const home = `<UsagePoint xmlns="${ESPI}"><ServiceCategory><kind>0</kind></ServiceCategory></UsagePoint>`;
  await feed.entry(point, "Home", [`${point}/MeterReading`], home);
  for (const [meter, readings] of byMeter(archive, from, to)) {
    for (const direction of DIRECTIONS) await meterReading(feed, point, titles[meter], readings, direction);
  }
  feed.pieces.push("</feed>\n");
  return feed.pieces;
}

function byMeter(archive, from, to) {
  const meters = new Map();
  archive.visit(from, to, (columns, at) => {
    const meter = columns.meter[at];
    if (!meters.has(meter)) meters.set(meter, []);
    const [end, length, quality] = [columns.end[at], columns.length[at], columns.quality[at]];
    const [importMwh, exportMwh] = [columns.importMwh[at], columns.exportMwh[at]];
    meters.get(meter).push({ start: end - length, length, importMwh, exportMwh, quality });
  });
  return meters;
}

async function meterReading(feed, point, title, readings, [direction, flow, energy]) {
  const name = `${title}-${direction}`;
  const here = `${point}/MeterReading/${name}`;
  const kind = `ReadingType/${name}`;
  const lengths = new Set(readings.map(({ length }) => length));
  const type = [
    ["accumulationBehaviour", 4], ["commodity", 1], ["dataQualifier", 12], ["defaultQuality", RAW], ["flowDirection", flow],
    ...(lengths.size === 1 ? [["intervalLength", [...lengths][0]]] : []),
    ["kind", 12], ["powerOfTenMultiplier", -3], ["timeAttribute", 0], ["uom", 72],
  ];
  await feed.entry(here, `${direction} of meter ${title}`, [`${here}/IntervalBlock`, kind], `<MeterReading xmlns="${ESPI}"/>`);
  const members = type.map(([member, value]) => element(member, value)).join("");
  await feed.entry(kind, `${direction}, mWh of each interval`, [], `<ReadingType xmlns="${ESPI}">${members}</ReadingType>`);
  for (const [day, ofDay] of byDay(readings)) await feed.entry(`${here}/IntervalBlock/${day}`, "", [], block(ofDay, energy));
}

function byDay(readings) {
  const days = new Map();
  for (const reading of readings) {
    const day = Math.floor(reading.start / DAY_S);
    if (!days.has(day)) days.set(day, []);
    days.get(day).push(reading);
  }
  return days;
}

function block(readings, energy) {
  const first = readings[0].start;
  const last = readings.at(-1).start + readings.at(-1).length;
  const doubtful = `<ReadingQuality>${element("quality", QUESTIONABLE)}</ReadingQuality>`;
  const inside = readings.map(
    (reading) =>
      `<IntervalReading>${reading.quality & ESTIMATES ? doubtful : ""}` +
      `${time("timePeriod", reading.start, reading.length)}${element("value", reading[energy])}</IntervalReading>`,
  );
  return `<IntervalBlock xmlns="${ESPI}">${time("interval", first, last - first)}${inside.join("")}</IntervalBlock>`;
}

function time(name, start, duration) {
  return `<${name}>${element("duration", duration)}${element("start", start)}</${name}>`;
}

function element(name, value) {
  return `<${name}>${value}</${name}>`;
}

/** An Atom feed (RFC 4287). Every text in it is a number, a name of ours, or letters that need no escape. */
class Feed {
  pieces = [];
  #updated;

  constructor(updated) {
    this.#updated = updated;
  }

  async start() {
    this.pieces.push(`<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="${ATOM}">`);
    this.pieces.push(await this.#id("feed"), element("title", "Hushmeter: your own readings"), element("updated", this.#updated));
  }

  async entry(href, title, related, content) {
    const links = [["self", href], ["up", href.slice(0, href.lastIndexOf("/"))], ...related.map((at) => ["related", at])];
    const lines = links.map(([relation, target]) => `<link rel="${relation}" href="${target}"/>`).join("");
    const times = element("published", this.#updated) + element("updated", this.#updated);
    this.pieces.push(
      `<entry>${await this.#id(href)}${lines}${element("title", title)}<content type="application/xml">${content}</content>${times}</entry>`,
    );
  }

  async #id(name) {
    return element("id", `urn:uuid:${await uuid5(name)}`);
  }
}

// RFC 9562, version 5. SHA-1 names here, it protects nothing.
async function uuid5(name) {
  const named = concat(fromHex(NAMESPACE), ascii(name));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", named)).slice(0, 16);
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  const hex = toHex(hash);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function iso(at) {
  return new Date(at * 1000).toISOString().replace(".000Z", "Z");
}

function kwh(mwh) {
  return `${Math.floor(mwh / 1e6)}.${String(mwh % 1e6).padStart(6, "0")}`;
}
