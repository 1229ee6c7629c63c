// A customer makes the key: told first what losing it means, given a recovery kit once, and asked whether it was kept.
// The private key is in this page's memory from the second step until the check has passed; no request carries any of it.

import { toBase64url } from "./bytes.js";
import { fingerprint, KeyFileError, keysOf, MOST_KEY_FILE, newSecret, readKeyFile } from "./keyfile.js";
import { publicPem, sealKey } from "./keyseal.js";
import { keep } from "./keystore.js";
import { drawQr, someNumbers, toWords } from "./kit.js";
import { part } from "./parts.js";
import { saveAs } from "./saving.js";
import { element } from "./table.js";
import { unfit } from "./unfit.js";

const ASKED = 3;
const LEAST_PASSPHRASE = 12;
const IN_A_GROUP = 4;
const STEPS = ["before", "kit", "check", "done"];

// The key while its kit is being made: {secret, keys, name}. Afterwards nothing.
let made = null;
let asked = [];

async function begin() {
  const problem = await unfit();
  if (problem) {
    say("unfit", problem);
    part("unfit").hidden = false;
    return;
  }
  part("understood").disabled = false;
  part("understood").addEventListener("change", () => {
    part("make").disabled = !part("understood").checked;
  });
  onSubmit("before-form", make);
  onSubmit("file-form", saveFile);
  onSubmit("words-check", checkWords);
  onSubmit("file-check", checkFile);
  onClick("print", () => window.print());
  onClick("go-on", askForWords);
  onClick("again", () => step("kit"));
  addEventListener("beforeunload", (event) => {
    if (made) event.preventDefault();
  });
  // A page that comes back from the browser's cache would show what was left behind.
  addEventListener("pagehide", drop);
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload();
  });
}

function onSubmit(id, work) {
  part(id).addEventListener("submit", (event) => {
    event.preventDefault();
    work();
  });
}

function onClick(id, work) {
  part(id).addEventListener("click", work);
}

function say(id, text) {
  part(id).textContent = text;
}

function step(name) {
  for (const id of STEPS) part(id).hidden = id !== name;
  part(name).querySelector("h2").focus();
}

async function make() {
  part("make").disabled = true;
  try {
    const secret = await newSecret();
    const keys = await keysOf(secret);
    made = { secret, keys, name: toBase64url(await fingerprint(keys.publicKey)) };
  } catch {
    say("make-state", "This browser could not make the key, and nothing was begun. Load the page again, or use another browser.");
    return;
  }
  showKit();
}

function showKit() {
  const words = toWords(made.secret);
  part("words").replaceChildren(...words.map((word) => element("li", word)));
  part("qr").replaceChildren(drawQr(words, "QR code of the 24 words"));
  for (const place of document.querySelectorAll(".fingerprint")) showFingerprint(place, made.name);
  step("kit");
}

// In groups, to be read out; what is copied has no spaces.
function showFingerprint(place, name) {
  const groups = name.match(new RegExp(`.{1,${IN_A_GROUP}}`, "g"));
  place.replaceChildren(...groups.map((group) => element("span", group)));
}

async function saveFile() {
  const passphrase = part("passphrase").value;
  if (passphrase.length < LEAST_PASSPHRASE) {
    say("file-state", `At least ${LEAST_PASSPHRASE} characters: four words that nobody would put together are good.`);
    return;
  }
  if (passphrase !== part("passphrase-again").value) {
    say("file-state", "The two passphrases differ: nothing was saved.");
    return;
  }
  say("file-state", "Sealing the file…");
  save(await sealKey(made.secret, passphrase), "hushmeter-key.pem");
  part("file-form").reset();
  say("file-state", "Saved as hushmeter-key.pem. Put a copy where this device's loss would not take it along.");
}

function save(text, name) {
  saveAs(new Blob([text], { type: "application/x-pem-file" }), name);
}

function askForWords() {
  asked = someNumbers(ASKED);
  part("asked").replaceChildren(
    ...asked.map((number) => {
      const row = part("asked-word").content.cloneNode(true);
      const [label, input] = [row.querySelector("label"), row.querySelector("input")];
      label.textContent = `Word ${number}`;
      label.htmlFor = input.id = `word-${number}`;
      return row;
    }),
  );
  part("file-check").reset();
  say("words-state", "");
  say("check-state", "");
  step("check");
}

async function checkWords() {
  const words = toWords(made.secret);
  const wrong = asked.filter((number) => part(`word-${number}`).value.trim().toLowerCase() !== words[number - 1]);
  if (wrong.length) {
    const which = wrong.map((number) => `Word ${number} is not what your kit says.`).join(" ");
    say("words-state", `${which} Your key is still here: look again, or show the kit again.`);
    part(`word-${wrong[0]}`).focus();
    return;
  }
  await finish();
}

async function checkFile() {
  try {
    const [file] = part("kept-file").files;
    if (file.size > MOST_KEY_FILE) throw new KeyFileError("This file is not a private key.");
    say("check-state", "Opening the file…");
    const { publicKey } = await readKeyFile(await file.text(), part("kept-passphrase").value);
    if (toBase64url(await fingerprint(publicKey)) !== made.name) throw new KeyFileError("This file opens, but it holds another key.");
  } catch (error) {
    const problem = error instanceof KeyFileError ? error.message : "This file cannot be read.";
    say("check-state", `${problem} Your key is still here: try again, or show the kit again.`);
    return;
  }
  await finish();
}

// What goes on is the key that cannot be exported, and its public half.
async function finish() {
  const { keys } = made;
  drop();
  const text = await publicPem(keys.publicKey);
  say("public-key", text);
  onClick("save-public", () => save(text, "hushmeter-key.pem.pub"));
  onClick("keep", () => keepHere(keys));
  step("done");
}

function drop() {
  made?.secret.fill(0);
  made = null;
  for (const id of ["words", "qr", "asked"]) part(id).replaceChildren();
  for (const id of ["file-form", "words-check", "file-check"]) part(id).reset();
}

async function keepHere(keys) {
  part("keep").disabled = true;
  try {
    await keep(keys, "");
    say("keep-state", "It is kept in this browser until you forget it on the page that opens your readings.");
  } catch {
    part("keep").disabled = false;
    say("keep-state", "This browser keeps nothing here: is this a private window? Nothing is lost, your kit opens your readings.");
  }
}

begin();
