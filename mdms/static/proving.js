// Does the key holder's proof hold: is a bill's energy what the customer's own signed windows contain, and nothing else?
//
// For a sum m of ciphertexts c1 ... ck under a Paillier modulus n the key holder shows a root r with r^n (1 + m n) = c1 ... ck
// modulo n^2 (protocol, chapter 9; paillier/proofs.py). Only their true sum has one. The moduli and the concentrator's key
// come from this server: whoever wants to be sure of them compares their fingerprints with the operator's signed rosters.

import { ascii, concat, fromBase64, toBase64url, toHex } from "./bytes.js";

const LABEL = ascii("hushmeter/v1/signed");
const KEY_LABEL = ascii("hushmeter/v1/signing-key");
const WINDOW = "billing-window";
const SLOT_BITS = 96n;

/** What does not hold, in words. */
export class NotProved extends Error {}

/**
 * Verify a bill's proof for an account. Returns {sums: [{bands, importMwh, exportMwh}], windows, signatures}; `signatures` is
 * false where this browser has no Ed25519 and the windows' signatures were not verified. Throws NotProved.
 */
export async function verifyProof(proof, account) {
  const seen = new Set();
  const known = { signatures: true };
  const sums = [];
  for (const sum of proof.sums) {
    if (!sum.n) throw new NotProved("a sum is under a key that no roster names");
    const n = toInteger(fromBase64(sum.n));
    const square = n * n;
    let product = 1n;
    for (const id of sum.documents) {
      const window = await openWindow(proof, id, account, known);
      if (seen.has(window.window_start)) throw new NotProved("a window stands in two sums");
      seen.add(window.window_start);
      const c = toInteger(fromBase64(window.energy));
      if (c <= 0n || c >= square || gcd(c, n) !== 1n) throw new NotProved("a window's ciphertext is none");
      product = (product * c) % square;
    }
    const root = toInteger(fromBase64(sum.root));
    if (root <= 0n || root >= n) throw new NotProved("a root is out of range");
    const m = BigInt(sum.import_mwh) + (BigInt(sum.export_mwh) << SLOT_BITS);
    if ((power(root, n, square) * (1n + m * n)) % square !== product) {
      throw new NotProved("a sum is not what your windows contain");
    }
    sums.push({ bands: sum.bands, importMwh: sum.import_mwh, exportMwh: sum.export_mwh });
  }
  return { sums, windows: seen.size, signatures: known.signatures };
}

async function openWindow(proof, id, account, known) {
  const document = proof.reports[id];
  if (!document || document.type !== WINDOW) throw new NotProved("a window is missing");
  const content = fromBase64(document.content);
  const signed = concat(...[LABEL, ascii(document.type), ascii(proof.deployment), content].flatMap((part) => [length(part), part]));
  if (toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", signed))) !== id) throw new NotProved("a window is not the one that was named");
  const key = fromBase64(proof.signers[document.signer] ?? "");
  const name = new Uint8Array(await crypto.subtle.digest("SHA-256", concat(KEY_LABEL, key)));
  if (toBase64url(name) !== document.signer) throw new NotProved("a window is signed by a stranger");
  const good = await verified(key, fromBase64(document.signature), signed);
  if (good === null) known.signatures = false;
  else if (!good) throw new NotProved("a window's signature is false");
  const window = JSON.parse(new TextDecoder().decode(content));
  if (window.pseudonym !== account) throw new NotProved("a window is another customer's");
  if (!window.energy) throw new NotProved("a window without energy is named");
  return window;
}

/** Return whether an Ed25519 signature (RFC 8032) is good, or null where this browser cannot tell. */
async function verified(key, signature, bytes) {
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") return null;
    return false;
  }
  return await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, bytes);
}

function length(part) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, part.length);
  return bytes;
}

function toInteger(bytes) {
  return BigInt(`0x0${toHex(bytes)}`);
}

function gcd(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

// All of it is public: no need for constant time.
function power(base, exponent, modulus) {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === "1") result = (result * base) % modulus;
  }
  return result;
}
