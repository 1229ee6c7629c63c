// The recovery kit of a customer's key: its 32 bytes as 24 words (BIP-39, the English list), and these as a QR code.

import { KeyFileError } from "./keyfile.js";
import { entropyToMnemonic, mnemonicToEntropy, wordlist } from "./vendor/bip39.js";
import { encodeQR } from "./vendor/qr.js";

export const WORDS = 24;
// No two words of the list begin with the same four letters.
const TELLING = 4;
const SVG = "http://www.w3.org/2000/svg";
const QUIET = 4; // modules of white around a QR code (ISO/IEC 18004)

/** Return the 24 words of 32 bytes. */
export function toWords(secret) {
  return entropyToMnemonic(secret, wordlist).split(" ");
}

/** Return the 32 bytes of 24 words as somebody typed them, numbered or not; throws KeyFileError, which says what is wrong. */
export function fromWords(text) {
  const words = text.toLowerCase().split(/[\s\d.,;:)]+/).filter(Boolean);
  const unknown = words.flatMap((word, at) => (wordlist.includes(word) ? [] : [{ word, number: at + 1 }]));
  if (unknown.length) throw new KeyFileError(unknown.slice(0, 3).map(inQuestion).join(" "));
  if (words.length !== WORDS) throw new KeyFileError(`A recovery kit has ${WORDS} words; these are ${words.length}.`);
  try {
    return mnemonicToEntropy(words.join(" "), wordlist);
  } catch {
    throw new KeyFileError(
      "Every word is in the list, but together they are no key: one of them is another word, or two have changed places.",
    );
  }
}

function inQuestion({ word, number }) {
  const near = word.length < TELLING ? undefined : wordlist.find((known) => known.startsWith(word.slice(0, TELLING)));
  const perhaps = near ? ` Is it “${near}”?` : "";
  return `Word ${number}, “${word.slice(0, 20)}”, is not in the list of words.${perhaps}`;
}

/** Return words as an SVG element with their QR code. Upper case takes less room in it, and reads as the same words. */
export function drawQr(words, label) {
  const modules = encodeQR(words.join(" ").toUpperCase(), "raw", { ecc: "medium", border: QUIET });
  const dark = modules.flatMap((line, y) => line.map((on, x) => (on ? `M${x} ${y}h1v1h-1z` : "")));
  const drawing = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const ground = document.createElementNS(SVG, "rect");
  const facts = {
    viewBox: `0 0 ${modules.length} ${modules.length}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges",
  };
  for (const [name, value] of Object.entries(facts)) drawing.setAttribute(name, value);
  for (const side of ["width", "height"]) ground.setAttribute(side, modules.length);
  // Dark on light whatever the page's colours are: not every reader takes the inverse.
  ground.setAttribute("fill", "#ffffff");
  path.setAttribute("fill", "#000000");
  path.setAttribute("d", dark.join(""));
  drawing.append(ground, path);
  return drawing;
}

/** Return `count` different numbers of words, 1 to 24, by chance and in order. */
export function someNumbers(count) {
  const chosen = new Set();
  while (chosen.size < count) {
    const [drawn] = crypto.getRandomValues(new Uint8Array(1));
    // 240 is the last multiple of 24 in a byte: behind it, low numbers would come more often.
    if (drawn < 240) chosen.add((drawn % WORDS) + 1);
  }
  return [...chosen].sort((a, b) => a - b);
}
