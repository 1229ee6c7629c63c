// The daily key ratchet of the customer's chain (protocol, chapter 3), on WebCrypto's HMAC-SHA-256.

import { ascii } from "./bytes.js";

const CHAIN = ascii("hushmeter/v1/chain");
const NEXT = ascii("hushmeter/v1/next");
const DETAIL = ascii("hushmeter/v1/detail");

/** Return HMAC-SHA-256. */
export async function hmac(key, message) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, message));
}

/** The detail keys of a root's days, from its enrolment epoch on. */
export class DetailKeys {
  #values = new Map();
  #keys = new Map();
  #first;
  #last;

  /** Return the keys of a customer root that began at an epoch. */
  static async of(root, epoch) {
    const keys = new DetailKeys();
    keys.#first = keys.#last = epoch;
    keys.#values.set(epoch, await hmac(root, CHAIN));
    return keys;
  }

  /** Return the detail key of an epoch, or null for one before the enrolment. */
  async at(epoch) {
    if (epoch < this.#first) return null;
    while (this.#last < epoch) {
      const next = await hmac(this.#values.get(this.#last), NEXT);
      this.#values.set(++this.#last, next);
    }
    if (!this.#keys.has(epoch)) this.#keys.set(epoch, await hmac(this.#values.get(epoch), DETAIL));
    return this.#keys.get(epoch);
  }
}
