// An account's rows from the server to the worker: all that lie there, newest first, then each as it comes.

import { ask, askBytes, keepAsking, LOST } from "./asking.js";
import { fromBase64 } from "./bytes.js";
import { ROW_BYTES } from "./rows.js";

const SILENT_MS = 2500; // a stream that ends is begun again at once; one that stays away is a lost connection
const HELD_MS = 5000; // a stream without a word by then is held back by something on the way

/**
 * Fetch rows of `own` (the account's address) for ever. `take(rows, past)` gets them, `left(count)` how many older are to
 * come. `tell` and `tellPast` get "" or what is wrong with new and with older rows.
 */
export async function fetchRows(own, { take, left, tell, tellPast }) {
  const give = (rows, past) => {
    if (rows.length % ROW_BYTES) throw new Error("half a row");
    if (rows.length) take(rows, past);
  };
  let newest = null;
  let oldest = null;
  let whole = false;
  const step = async () => {
    if (newest === null) {
      const block = await askBytes(`${own}rows.bin`, {});
      give(block.bytes, false);
      newest = block.newest;
      oldest = block.oldest;
      whole = block.left === 0;
      left(block.left);
    }
    for (let more = true; more; ) {
      const answer = await ask(`${own}rows.json`, { after: newest });
      give(fromBase64(answer.rows), false);
      newest = answer.next;
      more = answer.more;
    }
  };
  const history = async () => {
    const block = await askBytes(`${own}rows.bin`, { before: oldest });
    give(block.bytes, true);
    whole = block.left === 0; // also where rows were pruned meanwhile and none came
    oldest = block.oldest;
    left(block.left);
  };
  await keepAsking(step, tell, { until: () => newest !== null });
  // History and news at the same time: today does not wait for last year.
  if (!whole) keepAsking(history, (text, ended) => tellPast(text && pastLost(ended)), { every: 0, until: () => whole });
  follow(own, newest, step, tell);
}

function pastLost(ended) {
  if (ended) return "You have been signed out before all older readings were here. What is open stays; load the page again for the rest.";
  return (
    "The connection was lost while older readings were being fetched. What is open stays, " +
    "and fetching goes on by itself from where it stopped."
  );
}

/** Call `step` whenever the server says that there are new rows; where its word does not come, every two seconds. */
function follow(own, after, step, tell) {
  const source = new EventSource(`${own}rows.events?after=${after}`);
  let silent = null;
  let steps = Promise.resolve();
  let due = false;
  const look = () => {
    if (due) return;
    due = true;
    steps = steps.then(() => {
      due = false;
      return keepAsking(step, tell, { until: () => true });
    });
  };
  const poll = () => {
    clearTimeout(silent);
    clearTimeout(held);
    source.close();
    removeEventListener("online", look);
    keepAsking(step, tell);
  };
  const held = setTimeout(poll, HELD_MS);
  source.addEventListener("here", () => {
    clearTimeout(held);
    clearTimeout(silent);
    tell("");
  });
  source.addEventListener("message", look);
  source.addEventListener("error", () => {
    // Refused (no room, or the session has ended): asking tells which.
    if (source.readyState === EventSource.CLOSED) {
      poll();
      return;
    }
    clearTimeout(silent);
    silent = setTimeout(() => tell(LOST), SILENT_MS);
  });
  addEventListener("offline", () => tell(LOST));
  addEventListener("online", look);
}
