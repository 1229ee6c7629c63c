// AES-CCM (NIST SP 800-38C, RFC 3610) on @noble/ciphers' block function: WebCrypto has no CCM.

import { encrypt, expandKeyLE } from "./vendor/aes.js";

const BLOCK = 16;
const TAG_LENGTHS = new Set([4, 6, 8, 10, 12, 14, 16]);

/** A key and a tag length. Not for use by two callers at once: it keeps one block of scratch. */
export class Ccm {
  #schedule;
  #tagLength;
  #block = new Uint8Array(BLOCK);
  #words = new Uint32Array(this.#block.buffer);

  constructor(key, tagLength = BLOCK) {
    if (!TAG_LENGTHS.has(tagLength)) throw new RangeError("a tag length that CCM does not have");
    this.#schedule = expandKeyLE(key);
    this.#tagLength = tagLength;
  }

  /** Return ciphertext | tag. */
  seal(nonce, text, aad) {
    const sealed = new Uint8Array(text.length + this.#tagLength);
    sealed.set(this.#mac(nonce, text, aad), text.length);
    sealed.set(text);
    this.#applyCounter(nonce, sealed, text.length);
    return sealed;
  }

  /** Return the plaintext; throws where the tag does not verify. */
  open(nonce, sealed, aad) {
    const length = sealed.length - this.#tagLength;
    if (length < 0) throw new Error("shorter than a tag");
    const text = sealed.slice();
    this.#applyCounter(nonce, text, length);
    const tag = this.#mac(nonce, text.subarray(0, length), aad);
    let difference = 0;
    for (let i = 0; i < this.#tagLength; i++) difference |= tag[i] ^ text[length + i];
    if (difference !== 0) throw new Error("the tag does not verify");
    return text.slice(0, length);
  }

  #encryptBlock() {
    const w = this.#words;
    const { s0, s1, s2, s3 } = encrypt(this.#schedule, w[0], w[1], w[2], w[3]);
    w[0] = s0;
    w[1] = s1;
    w[2] = s2;
    w[3] = s3;
  }

  #lengthOctets(nonce, length) {
    const octets = 15 - nonce.length;
    if (octets < 2 || octets > 8) throw new RangeError("a nonce length that CCM does not have");
    if (length >= 2 ** (8 * octets)) throw new RangeError("too long for this nonce");
    return octets;
  }

  // CBC-MAC over B0, the encoded associated data and the text, each padded with zeros.
  #mac(nonce, text, aad) {
    const octets = this.#lengthOctets(nonce, text.length);
    const block = this.#block.fill(0);
    block[0] = (aad.length ? 0x40 : 0) | (((this.#tagLength - 2) / 2) << 3) | (octets - 1);
    block.set(nonce, 1);
    for (let i = 0, rest = text.length; i < octets; i++, rest = Math.floor(rest / 256)) block[15 - i] = rest % 256;
    this.#encryptBlock();
    if (aad.length) this.#absorb(aad, this.#absorbLength(aad.length));
    this.#absorb(text, 0);
    return block.slice(0, this.#tagLength);
  }

  #absorbLength(length) {
    const long = length >= 0xff00;
    const encoded = long
      ? [0xff, 0xfe, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff]
      : [length >>> 8, length & 0xff];
    for (let i = 0; i < encoded.length; i++) this.#block[i] ^= encoded[i];
    return encoded.length;
  }

  #absorb(data, start) {
    const block = this.#block;
    let at = start;
    for (let i = 0; i < data.length; i++) {
      block[at++] ^= data[i];
      if (at === BLOCK) {
        this.#encryptBlock();
        at = 0;
      }
    }
    if (at) this.#encryptBlock();
  }

  // Counter 0 covers the tag, which stands behind the text; counters from 1 on cover the text.
  #applyCounter(nonce, data, length) {
    const octets = this.#lengthOctets(nonce, length);
    this.#keystream(nonce, octets, 0);
    for (let i = 0; i < this.#tagLength; i++) data[length + i] ^= this.#block[i];
    for (let at = 0, counter = 1; at < length; at += BLOCK, counter++) {
      this.#keystream(nonce, octets, counter);
      const end = Math.min(BLOCK, length - at);
      for (let i = 0; i < end; i++) data[at + i] ^= this.#block[i];
    }
  }

  #keystream(nonce, octets, counter) {
    const block = this.#block.fill(0);
    block[0] = octets - 1;
    block.set(nonce, 1);
    for (let i = 0, rest = counter; i < octets && rest; i++, rest = Math.floor(rest / 256)) block[15 - i] = rest % 256;
    this.#encryptBlock();
  }
}
