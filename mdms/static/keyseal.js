// Writes a customer's key as files: the private half sealed with a passphrase, the public half for enrolment.
// PKCS#8 with PBES2 (RFC 8018), as scripts/customer_key.py writes it; keyfile.js, OpenSSL and PyCryptodome read it.

import { concat, fromHex } from "./bytes.js";
import { pkcs8 } from "./keyfile.js";

const ROUNDS = 210_000; // OWASP's recommendation for PBKDF2-HMAC-SHA512
const SALT_BYTES = 16;
const IV_BYTES = 16;
const LINE = 64;

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const OCTETS = 0x04;
// Object identifiers with their tags, as they stand in DER.
const PBES2 = fromHex("06092a864886f70d01050d");
const PBKDF2 = fromHex("06092a864886f70d01050c");
const HMAC_SHA512 = fromHex("06082a864886f70d020b");
const AES_256_CBC = fromHex("060960864801650304012a");
const NULL = fromHex("0500");

/** Return the PEM file of a private key (32 bytes), sealed with a passphrase. */
export async function sealKey(secret, passphrase) {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const typed = await crypto.subtle.importKey("raw", new TextEncoder().encode(passphrase), "PBKDF2", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", salt, iterations: ROUNDS, hash: "SHA-512" },
    typed, { name: "AES-CBC", length: 256 }, false, ["encrypt"],
  );
  const clear = pkcs8(secret);
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, clear));
  clear.fill(0);
  const derivation = der(
    SEQUENCE, PBKDF2, der(SEQUENCE, der(OCTETS, salt), der(INTEGER, integer(ROUNDS)), der(SEQUENCE, HMAC_SHA512, NULL)),
  );
  const cipher = der(SEQUENCE, AES_256_CBC, der(OCTETS, iv));
  const algorithm = der(SEQUENCE, PBES2, der(SEQUENCE, derivation, cipher));
  return pem("ENCRYPTED PRIVATE KEY", der(SEQUENCE, algorithm, der(OCTETS, sealed)));
}

/** Return the PEM file of a public key, which enrolment takes. */
export async function publicPem(publicKey) {
  return pem("PUBLIC KEY", new Uint8Array(await crypto.subtle.exportKey("spki", publicKey)));
}

function der(tag, ...parts) {
  const content = concat(...parts);
  // All that is written here is shorter than 256 bytes.
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return concat(Uint8Array.of(tag, ...length), content);
}

function integer(value) {
  const bytes = [];
  for (let rest = value; rest; rest = Math.floor(rest / 256)) bytes.unshift(rest & 0xff);
  return Uint8Array.from(bytes[0] & 0x80 ? [0, ...bytes] : bytes);
}

function pem(kind, bytes) {
  const lines = btoa(String.fromCharCode(...bytes)).match(new RegExp(`.{1,${LINE}}`, "g"));
  return [`-----BEGIN ${kind}-----`, ...lines, `-----END ${kind}-----`, ""].join("\n");
}
