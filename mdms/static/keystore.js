// Keys that a customer chose to keep in this browser: WebCrypto keys that cannot be exported, in IndexedDB, by fingerprint.
// Nothing is made before something is kept, and with the last key the database goes too.

import { toBase64url } from "./bytes.js";
import { fingerprint } from "./keyfile.js";

const NAME = "hushmeter";
const KEYS = "keys";

/** Keep a pair of keys; `account` may be "" until it is known. Throws where this browser keeps nothing. */
export async function keep(keys, account) {
  if (keys.privateKey.extractable) throw new Error("only a key that cannot be exported is kept");
  const name = toBase64url(await fingerprint(keys.publicKey));
  try {
    await inStore("readwrite", (store) => store.put({ name, account, keys }));
    // Kept is what can be read again: a browser may take a key and give nothing back.
    if (!(await kept()).some((record) => record.name === name)) throw new Error("the key was not kept");
  } catch (error) {
    await tidy();
    throw error;
  }
}

/** Return what is kept: {name: fingerprint, account, keys}, or nothing where this browser keeps nothing. */
export async function kept() {
  if (!(await exists())) return [];
  const records = await inStore("readonly", (store) => store.getAll());
  return records.filter((record) => record.keys?.privateKey);
}

/** Note beside a kept key that the tour was offered; returns whether it had been. Without a kept key nothing is noted. */
export async function noteTour(keys) {
  const name = toBase64url(await fingerprint(keys.publicKey));
  const record = (await kept()).find((each) => each.name === name);
  if (record && !record.toured) await inStore("readwrite", (store) => store.put({ ...record, toured: true }));
  return Boolean(record?.toured);
}

/** Forget a key by its fingerprint. */
export async function forget(name) {
  if (!(await exists())) return;
  await inStore("readwrite", (store) => store.delete(name));
  await tidy();
}

async function tidy() {
  if ((await kept()).length === 0) await settled(indexedDB.deleteDatabase(NAME));
}

async function exists() {
  return (await indexedDB.databases()).some((database) => database.name === NAME);
}

async function inStore(mode, work) {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(KEYS, { keyPath: "name" });
  const database = await settled(opening);
  try {
    const transaction = database.transaction(KEYS, mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
    const [result] = await Promise.all([settled(work(transaction.objectStore(KEYS))), done]);
    return result;
  } finally {
    database.close();
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
