// The customer's page: sign in with the key, fetch sealed rows, have them opened by a worker, show them.
// What is decrypted stays in this page: requests carry an account, a number and an answer to a challenge, nothing else.

import { ask, keepAsking, send, SignedOut } from "./asking.js";
import { showBills } from "./bills.js";
import { toBase64url } from "./bytes.js";
import { offerChoices } from "./choices.js";
import { fingerprint, KeyFileError } from "./keyfile.js";
import { chooseWay, showKept, typedKeys } from "./keyforms.js";
import { keyInLink } from "./keylink.js";
import { keep } from "./keystore.js";
import { showLooked } from "./looked.js";
import { Mine } from "./mine.js";
import { part, write } from "./parts.js";
import { fetchRows } from "./readings.js";
import { answerChallenge } from "./sealing.js";
import { offerTour } from "./tour.js";
import { unfit } from "./unfit.js";

const TARIFFS_MS = 3_600_000;
const BILLS_MS = 10_000;
const RELEASES_MS = 60_000;

const base = part("portal").dataset.base;
let csrfToken = document.querySelector('meta[name="csrf-token"]').content;

async function begin() {
  const problem = await unfit();
  if (problem) {
    part("unfit").textContent = problem;
    part("unfit").hidden = false;
    return;
  }
  await showLinked();
  chooseWay();
  part("open").disabled = false;
  part("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(part("account").value, typedKeys, part("keep").checked, (text) => {
      part("sign-in-state").textContent = text;
    });
  });
  await showKept(({ keys, account }, typed, say) => signIn(typed, async () => keys, account === "", say));
}

async function showLinked() {
  let linked;
  try {
    linked = await keyInLink();
  } catch {
    part("unfit").textContent = "The key in the link is damaged: copy the whole link, or use the key file.";
    part("unfit").hidden = false;
    return;
  }
  if (!linked) return;
  part("linked").hidden = false;
  part("linked-account").textContent = linked.account;
  part("linked-open").addEventListener("click", () => {
    signIn(linked.account, async () => linked.keys, false, (text) => {
      part("linked-state").textContent = text;
    });
  });
}

async function signIn(account, given, wantsKeeping, say) {
  const buttons = part("sign-in").querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  try {
    say("Reading the key…");
    const keys = await given();
    say("Signing in…");
    await logIn(keys, account);
    const { envelope, earlier, zone } = await ask(`${base}accounts/${account}/envelope.json`);
    await checkKey(keys, envelope);
    if (wantsKeeping) await keepHere(keys, account);
    show(keys, { envelope, earlier }, zone, `${base}accounts/${account}/`);
    say("");
  } catch (error) {
    say(inWords(error));
    for (const button of buttons) button.disabled = false;
  }
}

// Kept only once it has opened the account: a key that opens nothing is not worth a place.
async function keepHere(keys, account) {
  try {
    await keep(keys, account);
  } catch {
    part("keep-state").textContent =
      "You are signed in, but this browser keeps no key: is this a private window? Next time your key file or words open it again.";
  }
}

function inWords(error) {
  if (error instanceof KeyFileError || error instanceof SignInError) return error.message;
  if (error instanceof SignedOut) return "The session did not hold: does this browser accept cookies from here?";
  return "The server cannot be reached or did not answer as it should. Try again in a moment.";
}

class SignInError extends Error {}

async function logIn(keys, account) {
  const asked = await send(`${base}challenge.json`, { account }, csrfToken);
  if (asked.status === 429) throw new SignInError("Too many attempts: wait a minute.");
  if (asked.status === 400) throw new SignInError("This page is too old: load it again.");
  if (!asked.ok) throw new Error("no challenge");
  let answer;
  try {
    answer = await answerChallenge(keys, asked.body, location.origin, account);
  } catch {
    throw new SignInError("This key and this account do not belong together.");
  }
  const answered = await send(`${base}answer.json`, answer, csrfToken);
  if (answered.status === 429) throw new SignInError("Too many attempts: wait a minute.");
  if (!answered.ok) throw new SignInError("This key and this account do not belong together, or it took too long.");
  // The session is a new one, and so is its token.
  csrfToken = answered.body.csrf_token;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = csrfToken;
}

async function checkKey(keys, envelope) {
  const mine = toBase64url(await fingerprint(keys.publicKey));
  if (mine !== envelope.customer_key) throw new SignInError("This account's envelope is sealed to another key than yours.");
}

// What is open is for who signed in: a page that comes back from the browser's cache begins anew.
function forgetOnLeaving() {
  addEventListener("pagehide", () => {
    part("mine").hidden = true;
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload();
  });
}

function show(keys, envelopes, zone, own) {
  forgetOnLeaving();
  part("key-form").reset();
  part("sign-in").hidden = true;
  part("mine").hidden = false;
  part("title").focus();
  offerTour(keys);
  const worker = new Worker(new URL("./opener.js", import.meta.url), { type: "module" });
  const question = questions(worker);
  const mine = new Mine(zone, question);
  worker.postMessage({ keys, ...envelopes, zone });
  worker.addEventListener("message", ({ data }) => data.answer === undefined && mine.take(data));
  worker.addEventListener("error", () => mine.tell("Something went wrong while opening rows: load the page again."));
  fetchRows(own, {
    take: (rows, past) => worker.postMessage({ rows, past }, [rows.buffer]),
    left: (count) => mine.progress(count),
    tell: (text) => mine.tell(text),
    tellPast: (text) => write("past-late", text),
  });
  const tariffs = async () => {
    worker.postMessage({ prices: (await ask(`${own}tariffs.json`)).tariffs });
    mine.reprice();
  };
  const check = async (bill, upTo) => ({ ...(await question({ check: bill, upTo })), ...(await prove(bill, question)) });
  keepAsking(tariffs, late("price", "Your tariff"), { every: TARIFFS_MS });
  keepAsking(async () => showBills(await ask(`${own}bills.json`), check), late("bills", "Your bills"), { every: BILLS_MS });
  keepAsking(async () => showLooked(await ask(`${own}releases.json`)), late("log", "The key holder's log"), { every: RELEASES_MS });
  const detail = () => once(() => ask(`${own}detail.json`), late("detail", "What lies here of yours"));
  offerChoices(detail, (name, body) => send(`${own}${name}`, body, csrfToken)).catch(() => {
    // Signed out meanwhile: said.
  });
}

async function prove(bill, question) {
  if (!bill.proof) return { wrong: "the server has no proof of it" };
  const proof = await ask(bill.proof).catch(() => null);
  return proof ? await question({ prove: proof }) : { wrong: "it could not be fetched; check again in a moment" };
}

/** Return what says beside a part of the page that it did not come. */
function late(id, name) {
  return (text, ended) => write(`${id}-late`, text && `${name} could not be fetched${ended ? ": you have been signed out." : "; trying again."}`);
}

/** Ask again and again until there is an answer; returns it, or undefined where the session has ended. */
async function once(get, tell) {
  let found;
  await keepAsking(async () => {
    found = await get();
  }, tell, { until: () => true });
  return found;
}

/** Return a function that asks a worker: each question has a name, which its answer carries. Rejects where there is none. */
function questions(worker) {
  const waiting = new Map();
  let asked = 0;
  worker.addEventListener("message", ({ data }) => {
    if (data.answer === undefined) return;
    const { resolve, reject } = waiting.get(data.answer);
    if (data.broken === undefined) resolve(data);
    else reject(new Error(data.broken));
    waiting.delete(data.answer);
  });
  return (what) =>
    new Promise((resolve, reject) => {
      waiting.set(++asked, { resolve, reject });
      worker.postMessage({ ...what, ask: asked });
    });
}

begin();
