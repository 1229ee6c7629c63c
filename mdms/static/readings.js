// An account's rows from the server to the worker: all that lie there, newest first, then each as it comes.

import { ask, askBytes, keepAsking, SignedOut } from "./asking.js";
import { fromBase64 } from "./bytes.js";
import { ROW_BYTES } from "./rows.js";

const SILENT_MS = 2500; // a stream that ends is begun again at once; one that stays away is a lost connection

/** Fetch rows of `own` (the account's address) for ever. `take(rows)` gets them, `left(count)` how many older are to come. */
export async function fetchRows(own, take, left, tell) {
  const give = (rows) => {
    if (rows.length % ROW_BYTES) throw new Error("half a row");
    if (rows.length) take(rows);
  };
  let newest = null;
  let oldest = null;
  let whole = false;
  const step = async () => {
    if (newest === null) {
      const block = await askBytes(`${own}rows.bin`, {});
      give(block.bytes);
      newest = block.newest;
      oldest = block.oldest;
      whole = block.left === 0;
      left(block.left);
    }
    for (let more = true; more; ) {
      const answer = await ask(`${own}rows.json`, { after: newest });
      give(fromBase64(answer.rows));
      newest = answer.next;
      more = answer.more;
    }
  };
  // History and news at the same time: today does not wait for last year.
  const history = async () => {
    while (newest !== null && !whole) {
      const block = await askBytes(`${own}rows.bin`, { before: oldest });
      whole = block.left === 0; // also where rows were pruned meanwhile and none came
      oldest = block.oldest;
      give(block.bytes);
      left(block.left);
    }
  };
  await keepAsking(step, tell, { until: () => newest !== null });
  keepAsking(history, () => {}, { until: () => whole });
  follow(own, newest, step, tell);
}

/** Call `step` whenever the server says that there are new rows; where it cannot say so, every two seconds. */
function follow(own, after, step, tell) {
  const source = new EventSource(`${own}rows.events?after=${after}`);
  let silent = null;
  let steps = Promise.resolve();
  const poll = () => {
    clearTimeout(silent);
    source.close();
    keepAsking(step, tell);
  };
  source.addEventListener("open", () => {
    clearTimeout(silent);
    tell("");
  });
  source.addEventListener("message", () => {
    steps = steps.then(step).then(() => tell(""), (error) => {
      if (error instanceof SignedOut) source.close();
      tell(error instanceof SignedOut ? `${error.message} Load the page again to sign in.` : "Connection lost; trying again.");
    });
  });
  source.addEventListener("error", () => {
    // Refused (no room, or the session has ended): asking tells which.
    if (source.readyState === EventSource.CLOSED) {
      poll();
      return;
    }
    clearTimeout(silent);
    silent = setTimeout(() => tell("Connection lost; trying again."), SILENT_MS);
  });
  addEventListener("offline", () => tell("Connection lost; trying again."));
}
