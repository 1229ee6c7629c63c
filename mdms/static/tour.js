// A tour of a minute over the customer's page: one thing after the other is outlined and said in a sentence or two.
// Who comes for the first time is asked, once. That it was is noted beside a kept key, and else in the tab's history alone:
// a browser that keeps no key keeps nothing.

import { noteTour } from "./keystore.js";
import { part } from "./parts.js";

const STEPS = [
  ["title", "This is your home's electricity, opened in this browser with your key. The utility stores it sealed, and cannot open it."],
  ["chart", "Your power over the day. Drag over it, or press plus, to look closer. Shaded parts are estimates, holes are times without a reading."],
  ["range-day", "A day, a week, a month or a year; the arrows go back in time, and the box beside them shows what came before as a dashed line."],
  ["now", "What your home draws, by its newest reading, and what the time shown has cost so far by your tariff. To spare its memory a meter may hold minutes back for up to three; what it sends is here about a second later."],
  ["pairs", "The same readings twice: as the utility has them, and as only you see them."],
  ["bills", "Check adds your own readings up and compares them with what was billed, and verifies the key holder's proof."],
  ["take-csv", "Your data as files, made here. Lose your key and nobody can open your readings again: keep its kit."],
];

/** Offer the tour behind the page's button, and to who signs in with `keys` for the first time in words. */
export function offerTour(keys) {
  const dialog = part("tour");
  let at = 0;
  const show = () => {
    for (const [id] of STEPS) part(id).classList.remove("shown");
    const [id, text] = STEPS[at];
    part(id).classList.add("shown");
    part(id).scrollIntoView({ block: "center" });
    part("tour-text").textContent = text;
    part("tour-count").textContent = `${at + 1} of ${STEPS.length}`;
    part("tour-back").disabled = at === 0;
    part("tour-next").textContent = at + 1 < STEPS.length ? "Next" : "Done";
  };
  const begin = () => {
    part("tour-offer").hidden = true;
    at = 0;
    dialog.show();
    show();
    part("tour-next").focus();
  };
  for (const id of ["tour-begin", "tour-yes"]) part(id).addEventListener("click", begin);
  part("tour-no").addEventListener("click", () => {
    part("tour-offer").hidden = true;
    part("title").focus();
  });
  offered(keys).then((before) => {
    if (!dialog.open) part("tour-offer").hidden = before;
  });
  part("tour-back").addEventListener("click", () => {
    at--;
    show();
  });
  part("tour-next").addEventListener("click", () => {
    if (++at < STEPS.length) show();
    else dialog.close();
  });
  dialog.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") dialog.close();
  });
  dialog.addEventListener("close", () => {
    for (const [id] of STEPS) part(id).classList.remove("shown");
    part("tour-begin").focus();
  });
}

async function offered(keys) {
  const before = history.state?.toured ?? (await noteTour(keys).catch(() => false));
  history.replaceState({ ...history.state, toured: true }, "");
  return before;
}
