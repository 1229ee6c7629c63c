// A key in an address's fragment, for demonstrations on one's own machine: no browser sends a fragment to a server.
//
// Taken on loopback alone: elsewhere a link that holds a key would end in mails and histories.

import { readKeyFile } from "./keyfile.js";

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Return {account, keys} of a fragment `account=...&x=...&d=...` (JWK's members), or null without one; the address loses it.
 * Throws KeyFileError where what is there is no key.
 */
export async function keyInLink() {
  if (!LOOPBACK.has(location.hostname) || !location.hash) return null;
  const { account, x, d } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  history.replaceState(null, "", location.pathname + location.search);
  if (!account) return null; // a fragment of another kind
  return { account, keys: await readKeyFile(JSON.stringify({ kty: "OKP", crv: "X25519", x, d }), "") };
}
