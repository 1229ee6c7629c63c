// What the customer decides about the own rows at the utility: how long they are kept, and that they are erased.

import { part } from "./parts.js";
import { element } from "./table.js";

const OLD = "This needs a sign-in of the last ten minutes: load the page again, open it with your key, and do it then.";

/** Offer the choices. `get()` returns the state of the rows, `post(name, body)` sends a decision; both return promises. */
export async function offerChoices(get, post) {
  const say = (text) => {
    part("detail-said").textContent = text;
  };
  let typed = "";
  const show = (state) => {
    typed = state.typed;
    const since = state.oldest ? `, the oldest of ${state.oldest}` : "";
    part("detail-kept").textContent =
      `${state.rows.toLocaleString("en")} sealed rows of yours lie here${since}. They are kept for ${state.days} days` +
      (state.own ? ", as you decided." : ", like everybody's.");
    part("keep-days").min = state.least;
    part("keep-days").max = state.most;
    part("keep-days").value = state.days;
    part("detail-decided").replaceChildren(...state.decided.map((text) => element("li", text)));
  };
  const decide = async (name, body, done) => {
    const { ok, status, body: answer } = await post(name, body).catch(() => ({ ok: false, status: 0 }));
    if (ok) show(answer);
    if (ok) say(done(answer));
    else if (status === 403) say(OLD);
    else say("It did not work, and nothing was changed. Try again in a moment.");
  };
  part("keep-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const days = Number(part("keep-days").value);
    await decide("keep.json", { days }, () => `From the next nightly clean-up on, rows older than ${days} days are deleted.`);
  });
  part("erase-typed").addEventListener("input", () => {
    part("erase").disabled = part("erase-typed").value.trim() !== typed;
  });
  part("erase-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    part("erase").disabled = true;
    say("Erasing…");
    await decide("erase.json", { confirm: part("erase-typed").value.trim() }, ({ erased }) => {
      part("erase-form").reset();
      return `${erased.toLocaleString("en")} rows were erased. What this page has opened, it shows until you close or reload it.`;
    });
  });
  show(await get());
}
