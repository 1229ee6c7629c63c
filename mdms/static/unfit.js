// Whether this browser can hold a customer's key at all.

import { hasX25519 } from "./keyfile.js";
import { part } from "./parts.js";

/** Return what keeps this browser from opening readings, in words, or "". */
export async function unfit() {
  // A browser that is too old for this script leaves the page's own word on that where it is.
  part("too-old").remove();
  if (!isSecureContext) {
    return (
      "This page was not reached over HTTPS, so the browser keeps its cryptography shut. " +
      "Use the https:// address, or http://localhost on the server's own machine."
    );
  }
  if (!(await hasX25519())) {
    return (
      "This browser has no X25519. Chrome and Edge have it from version 133, Firefox from 130, Safari from 17: " +
      "please update, or use another browser."
    );
  }
  return "";
}
