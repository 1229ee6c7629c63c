// A customer's private key from its file: PKCS#8 in PEM, with a passphrase (PBES2, RFC 8018) or without, or a JWK; or from
// its 32 bytes. What comes out is a WebCrypto key that cannot be exported. Nothing of the file is kept.

import { ascii, concat, fromBase64, fromHex, toHex } from "./bytes.js";

const X25519 = { name: "X25519" };
const PEM = /-----BEGIN (ENCRYPTED )?PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END (?:ENCRYPTED )?PRIVATE KEY-----/;
const MOST_ROUNDS = 10_000_000;
export const MOST_KEY_FILE = 16_384; // bytes

// What precedes the 32 bytes of an X25519 private key in PKCS#8 (RFC 8410, section 7).
const PKCS8_START = fromHex("302e020100300506032b656e04220420");

// Object identifiers, as they stand in DER.
const PBES2 = "2a864886f70d01050d";
const PBKDF2 = "2a864886f70d01050c";
const HASHES = { "2a864886f70d0209": "SHA-256", "2a864886f70d020a": "SHA-384", "2a864886f70d020b": "SHA-512" };
const CIPHERS = { "60864801650304012a": 256, "608648016503040102": 128 };

/** What is wrong with a key, be it a file or words, in words for its owner. */
export class KeyFileError extends Error {}

/** Return {privateKey, publicKey}; throws KeyFileError. */
export async function readKeyFile(text, passphrase) {
  const privateKey = text.trimStart().startsWith("{") ? await fromJwk(text) : await fromPem(text, passphrase);
  return { privateKey, publicKey: await publicHalf(privateKey) };
}

/** Return {privateKey, publicKey} of a private key's 32 bytes. */
export async function keysOf(secret) {
  const document = pkcs8(secret);
  const privateKey = await crypto.subtle.importKey("pkcs8", document, X25519, false, ["deriveBits"]);
  document.fill(0);
  return { privateKey, publicKey: await publicHalf(privateKey) };
}

/** Return the 32 bytes of a new private key. */
export async function newSecret() {
  const { privateKey } = await crypto.subtle.generateKey(X25519, true, ["deriveBits"]);
  const document = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const secret = document.slice(PKCS8_START.length);
  const start = document.slice(0, PKCS8_START.length);
  if (toHex(start) !== toHex(PKCS8_START) || secret.length !== 32) throw new Error("not as RFC 8410 has it");
  document.fill(0);
  return secret;
}

/** Return a private key's 32 bytes in PKCS#8. */
export function pkcs8(secret) {
  return concat(PKCS8_START, secret);
}

/** Return whether this browser can do X25519 at all. */
export async function hasX25519() {
  try {
    await crypto.subtle.generateKey(X25519, false, ["deriveBits"]);
    return true;
  } catch {
    return false;
  }
}

async function fromJwk(text) {
  try {
    const { kty, crv, x, d } = JSON.parse(text);
    return await crypto.subtle.importKey("jwk", { kty, crv, x, d }, X25519, false, ["deriveBits"]);
  } catch {
    throw new KeyFileError("This file is not an X25519 private key.");
  }
}

async function fromPem(text, passphrase) {
  const found = PEM.exec(text);
  if (!found) throw new KeyFileError("This file is not a private key: it must be a PEM or JWK file.");
  if (found[1]) return await fromSealed(decode(found[2]), passphrase);
  try {
    return await crypto.subtle.importKey("pkcs8", decode(found[2]), X25519, false, ["deriveBits"]);
  } catch (error) {
    if (error instanceof KeyFileError) throw error;
    throw new KeyFileError("This file is not an X25519 private key.");
  }
}

function decode(text) {
  try {
    return fromBase64(text.replace(/\s+/g, ""));
  } catch {
    throw new KeyFileError("This key file is damaged.");
  }
}

async function fromSealed(der, passphrase) {
  if (!passphrase) throw new KeyFileError("This key file needs its passphrase.");
  const { salt, rounds, hash, bits, iv, sealed } = sealing(der);
  const typed = await crypto.subtle.importKey("raw", new TextEncoder().encode(passphrase), "PBKDF2", false, ["deriveKey"]);
  const aes = { name: "AES-CBC", length: bits };
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", salt, iterations: rounds, hash }, typed, aes, false, ["unwrapKey"],
  );
  try {
    // The private key goes from the file into WebCrypto without passing through this script.
    return await crypto.subtle.unwrapKey("pkcs8", sealed, key, { name: "AES-CBC", iv }, X25519, false, ["deriveBits"]);
  } catch {
    throw new KeyFileError("The passphrase does not open this key file.");
  }
}

function sealing(der) {
  try {
    const [[[algorithm, [[kdf, [salt, rounds, ...rest]], [cipher, iv]]], sealed]] = parse(der);
    const prf = rest.at(-1);
    const facts = {
      salt, iv, sealed,
      rounds: rounds.reduce((sum, byte) => sum * 256 + byte, 0),
      hash: HASHES[toHex(prf[0])],
      bits: CIPHERS[toHex(cipher)],
    };
    if (toHex(algorithm) !== PBES2 || toHex(kdf) !== PBKDF2 || !facts.hash || !facts.bits || facts.rounds > MOST_ROUNDS) {
      throw new Error("another scheme");
    }
    return facts;
  } catch {
    throw new KeyFileError("This key file is damaged, or sealed in a way that this page does not know.");
  }
}

/** Return DER (X.690) as nested arrays: a sequence is an array of its members, anything else its bytes. */
function parse(der) {
  const members = [];
  for (let at = 0; at < der.length; ) {
    const tag = der[at];
    let length = der[at + 1];
    at += 2;
    if (length & 0x80) {
      const octets = length & 0x7f;
      if (octets > 3) throw new Error("too long");
      length = 0;
      for (let i = 0; i < octets; i++) length = length * 256 + der[at++];
    }
    if (!(at + length <= der.length)) throw new Error("cut short");
    const content = der.slice(at, at + length);
    members.push(tag === 0x30 ? parse(content) : content);
    at += length;
  }
  return members;
}

// X25519 with the base point 9 (RFC 7748, section 6.1): a key that cannot be exported still tells its public half.
async function publicHalf(privateKey) {
  const nine = new Uint8Array(32);
  nine[0] = 9;
  const base = await crypto.subtle.importKey("raw", nine, X25519, true, []);
  const raw = await crypto.subtle.deriveBits({ ...X25519, public: base }, privateKey, 256);
  return await crypto.subtle.importKey("raw", raw, X25519, true, []);
}

/** Return the fingerprint that was confirmed at enrolment (protocol, chapter 8), as raw bytes. */
export async function fingerprint(publicKey) {
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  const both = concat(ascii("hushmeter/v1/customer-key"), raw);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", both));
}
