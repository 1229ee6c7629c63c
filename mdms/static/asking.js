// Asking this server for JSON, once or again and again.

const EVERY_MS = 2000;
const LONGEST_MS = 30_000;
export const LOST = "Connection lost; trying again.";

/** The session has ended. */
export class SignedOut extends Error {}

let active = false;
let aheadMs = 0;

/** Return the time in UTC seconds by the server's clock, as far as it has answered: this machine's may be hours off. */
export function serverTime() {
  return (Date.now() + aheadMs) / 1000;
}

for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, () => {
    active = true;
  }, { passive: true });
}

/** Return the JSON at an address. A person's doing since the last call keeps the session alive, asking alone does not. */
export async function ask(url, parameters = {}) {
  return await (await get(url, parameters)).json();
}

/** Return {bytes, oldest, newest, left} of stored rows at an address: numbers of arrival, and how many older are left. */
export async function askBytes(url, parameters = {}) {
  const answer = await get(url, parameters);
  const number = (name) => Number(answer.headers.get(`Hushmeter-${name}`));
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return { bytes, oldest: number("Oldest"), newest: number("Newest"), left: number("Left") };
}

async function get(url, parameters) {
  const query = new URLSearchParams(active ? { ...parameters, active: "1" } : parameters);
  active = false;
  const answer = await fetch(`${url}?${query}`, { credentials: "same-origin", cache: "no-store" });
  const told = Date.parse(answer.headers.get("Date"));
  if (!Number.isNaN(told)) aheadMs = told - Date.now();
  if (answer.status === 401) throw new SignedOut("You have been signed out.");
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  return answer;
}

/** Send JSON; returns {ok, status, body}. */
export async function send(url, body, csrfToken) {
  const answer = await fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken },
    body: JSON.stringify(body),
  });
  return { ok: answer.ok, status: answer.status, body: await answer.json().catch(() => ({})) };
}

/**
 * Call `step` every two seconds, or `every` milliseconds, until `until()`; while it fails, after ever longer pauses.
 * `tell` gets "" or what is wrong, and whether that is the end: SignedOut is.
 */
export async function keepAsking(step, tell, { every = EVERY_MS, until = () => false } = {}) {
  for (let failing = EVERY_MS; ; ) {
    let pause = every;
    try {
      await step();
      tell("", false);
      if (until()) return;
      failing = EVERY_MS;
    } catch (error) {
      if (error instanceof SignedOut) {
        tell(`${error.message} Load the page again to sign in.`, true);
        return;
      }
      tell(LOST, false);
      failing = Math.min(2 * failing, LONGEST_MS);
      pause = failing;
    }
    await passed(pause);
  }
}

// A browser that is back on line need not wait for the end of a pause.
function passed(pause) {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      resolve();
    };
    const timer = setTimeout(over, pause);
    addEventListener("online", over);
  });
}
