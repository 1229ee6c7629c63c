// Who looked: the key holder's log about this account, as the server read and verified it.

import { part } from "./parts.js";
import { element, line } from "./table.js";

let shown = "";
let held = null;

/** Show what releases.json says. It is asked for every minute: what is shown already is left alone. */
export function showLooked(answer) {
  const all = JSON.stringify(answer);
  if (all === shown) return;
  const { holds, said, head, bills, earlier, street, days } = answer;
  // A log that holds as before and has only grown is no news to be read out.
  part("log-said").ariaLive = holds === held ? "off" : "polite";
  held = holds;
  part("log-said").textContent = said;
  part("log-said").className = holds ? "good" : "warn";
  part("log-head").textContent = head ? `${head.seq} ${head.hash}` : "–";
  const items = bills.map(entry);
  if (!items.length) items.push(element("li", "Nobody has asked for a bill of yours yet.", "quiet"));
  if (earlier) items.push(element("li", `${earlier} earlier entries are not shown here.`, "quiet"));
  part("log-bills").replaceChildren(...items);
  part("log-street").textContent = street;
  part("log-days-box").hidden = !days.length;
  part("log-days").replaceChildren(
    ...days.map((day) => line([day.day], [String(day.released), "n"], [day.homes, "n"], [String(day.refused), "n"])),
  );
  shown = all;
}

function entry({ seq, time, period, released, why, opened, unsafe }) {
  const item = element("li", "", released ? "released" : "refused");
  const top = element("div", "", "top");
  top.append(element("strong", `Bill ${period}`), element("span", released ? "opened" : "refused", "tag"));
  item.append(top);
  if (!released) item.append(element("p", why));
  for (const text of opened) item.append(element("p", text));
  if (unsafe.length) item.append(element("p", `The key holder ran with ${unsafe.join(", ")}.`, "warn"));
  item.append(element("p", `${time} · entry ${seq}`, "note"));
  return item;
}
