// The ways in which a customer gives this page a key: kept in this browser, as a file, as words, as a photo of their code.

import { fromWords } from "./kit.js";
import { KeyFileError, keysOf, MOST_KEY_FILE, readKeyFile } from "./keyfile.js";
import { forget, kept } from "./keystore.js";
import { part } from "./parts.js";

const MOST_PHOTO = 30_000_000; // bytes
const PHOTO_SIDE = 2000; // pixels: enough for a code, and read in a moment
const PHOTO_MS = 10_000;

/** Make the form ask for a file or for words, as chosen. */
export function chooseWay() {
  const show = () => {
    const byWords = part("by-words").checked;
    part("words-way").hidden = !byWords;
    part("file-way").hidden = byWords;
    part("words").required = byWords;
    part("key-file").required = !byWords;
  };
  for (const id of ["by-file", "by-words"]) part(id).addEventListener("change", show);
  // After a reset the choice is the form's own first one.
  part("key-form").addEventListener("reset", () => setTimeout(show));
  show();
}

/** Return {privateKey, publicKey} of what the form holds; throws KeyFileError. */
export async function typedKeys() {
  if (part("by-words").checked) return await keysOfWords(part("words").value);
  const [file] = part("key-file").files;
  if (file?.type.startsWith("image/")) return await keysOfWords(await wordsOnPhoto(file));
  if (!file || file.size > MOST_KEY_FILE) throw new KeyFileError("This file is not a private key: it must be a PEM or JWK file.");
  return await readKeyFile(await file.text(), part("passphrase").value);
}

async function keysOfWords(text) {
  const secret = fromWords(text);
  const keys = await keysOf(secret);
  secret.fill(0);
  return keys;
}

async function wordsOnPhoto(file) {
  if (file.size > MOST_PHOTO) throw new KeyFileError("This picture is too large: a photo of the code alone will do.");
  try {
    const { decodeQR } = await import("./vendor/qr_reader.js");
    const photo = await createImageBitmap(file);
    const scale = Math.min(1, PHOTO_SIDE / Math.max(photo.width, photo.height));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [photo.width, photo.height].map((side) => Math.max(1, Math.round(side * scale)));
    const context = canvas.getContext("2d");
    context.drawImage(photo, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    return decodeQR(pixels, { effort: Infinity, timeLimit: PHOTO_MS });
  } catch {
    throw new KeyFileError("No code was found in this picture. Try one taken from straight above, or type the 24 words.");
  }
}

/** Show the keys that are kept here; `open(record, account, say)` signs in with one. */
export async function showKept(open) {
  let records;
  try {
    records = await kept();
  } catch {
    records = [];
    part("kept-state").textContent = "This browser's store of keys cannot be read. Use your key file or your 24 words.";
  }
  part("kept-keys").replaceChildren(...records.map((record) => rowOf(record, open)));
  part("kept").hidden = records.length === 0;
}

function rowOf(record, open) {
  const row = part("kept-key").content.cloneNode(true).firstElementChild;
  const [account, state] = [row.querySelector("input"), row.querySelector('[role="status"]')];
  const known = record.account !== "";
  account.value = record.account;
  account.readOnly = known;
  account.id = `account-${record.name}`;
  row.querySelector("label").htmlFor = account.id;
  row.querySelector(".name").textContent = record.name.slice(0, 8);
  row.addEventListener("submit", (event) => {
    event.preventDefault();
    open(record, account.value, (text) => {
      state.textContent = text;
    });
  });
  row.querySelector("button.quiet").addEventListener("click", async () => {
    const warning =
      "Forget this key on this device? Without your recovery kit or key file, nobody can open your readings again.";
    if (!confirm(warning)) return;
    await forget(record.name);
    await showKept(open);
    part("kept-state").textContent = "The key is forgotten here. Your kit or key file opens your readings.";
  });
  return row;
}
