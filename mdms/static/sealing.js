// HPKE (RFC 9180) as the protocol uses it: the customer's root (chapter 8) and the login (chapter 10).

import { ascii, concat, fromBase64, toBase64url } from "./bytes.js";
import { hmac } from "./keychain.js";
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "./vendor/hpke.js";

const ROOT_PURPOSE = ascii("hushmeter/v1/customer-root");
const LOGIN_PURPOSE = ascii("hushmeter/v1/login");
const LOGIN_ANSWER = ascii("hushmeter/v1/login-answer");

function suite() {
  return new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
}

/** Return the customer root in an envelope, for the meter whose title stands in the rows; throws if it is for another key. */
export async function openRoot(keys, envelope, title) {
  const epoch = Uint8Array.of(envelope.epoch >> 8, envelope.epoch & 0xff);
  const info = concat(ROOT_PURPOSE, title, ascii(envelope.pseudonym), epoch);
  const context = await suite().createRecipientContext({ recipientKey: keys, enc: fromBase64(envelope.enc), info });
  return new Uint8Array(await context.open(fromBase64(envelope.sealed_root)));
}

/** Return the answer to a login challenge. `origin` is what this browser sees, whatever the server says. */
export async function answerChallenge(keys, challenge, origin, account) {
  const expires = new Uint8Array(4);
  new DataView(expires.buffer).setUint32(0, challenge.expires);
  const where = ascii(origin);
  const info = concat(LOGIN_PURPOSE, Uint8Array.of(where.length), where, ascii(account), expires);
  const context = await suite().createRecipientContext({ recipientKey: keys, enc: fromBase64(challenge.enc), info });
  const opened = new Uint8Array(await context.open(fromBase64(challenge.sealed)));
  const key = new Uint8Array(await context.export(LOGIN_ANSWER, 32));
  return { id: challenge.id, answer: toBase64url(await hmac(key, opened)) };
}
