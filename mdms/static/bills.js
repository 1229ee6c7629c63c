// The account's bills as lines of a table.

import { kwh, moment } from "./figures.js";
import { element, line } from "./table.js";

const BROKEN = "The bill could not be compared: something went wrong on this page, and nothing is lost. Load it again.";

const part = (id) => document.getElementById(id);
let shown = "";
// The bill whose check is on the page.
let checked = null;

/**
 * Show the account's bills and the tariff of the newest; `check(bill, upTo)` asks whether a bill is the own readings' sum.
 * It is asked for every few seconds: what is shown already is left alone, and so are the focus and an open check.
 */
export function showBills({ tariff, bills }, check) {
  const said = JSON.stringify([tariff, bills]);
  if (said === shown) return;
  part("price").textContent = tariff ? `${tariff}.` : "";
  const lines = bills.map((bill) => {
    const remark = bill.status === "released" ? remarks(bill) : bill.why;
    const row = line([""], [kwh(bill.import_mwh), "n"], [kwh(bill.export_mwh), "n"], [bill.amount ?? "–", "n"], [remark]);
    const link = element("a", bill.period);
    link.id = `bill-${bill.start}`;
    const page = new URL(bill.page, location.href);
    // A link leads to this server's pages, whatever an answer says: javascript: is an address too.
    if (page.origin === location.origin) link.href = page.href;
    // Its own tab: this page forgets the readings when it is left.
    link.target = "_blank";
    link.rel = "noopener";
    row.firstElementChild.replaceChildren(link);
    row.append(checkCell(bill, bills, check));
    return row;
  });
  if (!lines.length) lines.push(line(["No period has ended yet."]));
  const focused = document.activeElement?.id;
  part("bills").replaceChildren(...lines);
  // Taken away with its line, and there again in the new one.
  if (focused && document.activeElement?.id !== focused) part(focused)?.focus({ preventScroll: true });
  shown = said;
  if (!checked || bills.some((bill) => JSON.stringify(bill) === JSON.stringify(checked))) return;
  checked = null;
  say("This bill was changed after you had it checked: check it again.", "warn");
}

function remarks(bill) {
  const estimated = bill.estimated ? `estimate: intervals missing or estimated in ${bill.estimated} of ${bill.windows} windows` : "";
  const adjusted = bill.adjusted ? `adjustment: ${bill.adjusted} windows of earlier periods` : "";
  const bands = bill.sums.filter((sum) => sum.bands.length).map((sum) => `${sum.bands.join("+")} ${kwh(sum.import_mwh)} kWh`);
  return [bands.join(", "), estimated, adjusted].filter((text) => text).join("; ");
}

function checkCell(bill, bills, check) {
  const cell = element("td", "");
  if (bill.status !== "released") return cell;
  const button = element("button", "Check", "quiet");
  button.type = "button";
  button.id = `check-${bill.start}`;
  button.setAttribute("aria-label", `Check the bill of ${bill.period}`);
  const upTo = bills.filter((each) => each.start <= bill.start && each.status === "released");
  button.addEventListener("click", () => {
    begin(bill);
    // Another bill may be under check by the time that the answer comes.
    const here = (show) => (answer) => checked === bill && show(answer);
    check(bill, upTo).then(here((found) => showCheck(bill, found)), here(() => say(BROKEN, "warn")));
  });
  cell.append(button);
  return cell;
}

function begin(bill) {
  checked = bill;
  part("check").hidden = false;
  part("check-title").textContent = `Bill of ${bill.period}`;
  say("Adding your readings up…");
  part("check").scrollIntoView({ block: "nearest" });
}

function say(text, kind = "") {
  part("check-verdict").textContent = text;
  part("check-verdict").className = kind;
  part("check-proof").textContent = "";
  part("check-rows").replaceChildren();
}

/** Say in words whether a bill is the sum of the own readings, and where it is not. */
function showCheck(bill, found) {
  say(verdict(bill, found), found.verdict === "equal" ? "good" : "warn");
  part("check-proof").textContent = proof(bill, found);
  part("check-proof").className = found.proved ? "good" : "warn";
  const rows = [...found.sums.map((sum) => [sum.bands.join(" + "), sum.billed, sum.mine]), ["in all", found.billed, found.mine]];
  part("check-rows").replaceChildren(
    ...rows.map(([name, billed, mine]) =>
      line([name], ...[billed.importMwh, mine.importMwh, billed.exportMwh, mine.exportMwh].map((mwh) => [kwh(mwh), "n"])),
    ),
  );
  part("check").scrollIntoView({ block: "nearest" });
}

function proof(bill, { proved, wrong }) {
  if (!proved) return `The key holder's proof was not verified: ${wrong}.`;
  const sum = (name) => proved.sums.reduce((all, one) => all + one[name], 0);
  if (sum("importMwh") !== bill.import_mwh || sum("exportMwh") !== bill.export_mwh) {
    const said = `The key holder proves ${kwh(sum("importMwh"))} kWh of import and ${kwh(sum("exportMwh"))} kWh of export`;
    return `${said} of this bill; the rest of it has no proof of its own.`;
  }
  const signed = proved.signatures ? "signed by your street's concentrator" : "whose signatures this browser cannot verify (no Ed25519)";
  return `Proved: the key holder opened the sum of your ${proved.windows} windows with energy, ${signed}, and this is that sum.`;
}

function verdict(bill, { verdict: said, missing, upTo, billed, mine }) {
  if (said === "equal") return "Equal: the bill holds exactly what your own meter sealed, band by band.";
  if (said === "incomplete") {
    const [from, to] = missing.map((at) => moment(at, "UTC"));
    return (
      `It cannot be compared yet: your readings from ${from} to ${to} UTC are not here. Where older readings are still being ` +
      "opened, check again when they are; where they are older than the utility keeps them, compare with your meter's display."
    );
  }
  const together = upTo.equal ? " All bills up to this one together are equal to your readings." : "";
  if (said === "carried") return `The bill carries ${bill.adjusted} windows of earlier periods, so it differs from this period's readings by those.${together}`;
  const difference = kwh(Math.abs(billed.importMwh - mine.importMwh));
  const way = billed.importMwh >= mine.importMwh ? "more" : "less";
  return (
    `It differs: the bill has ${difference} kWh ${way} import than your readings.${together} Readings that reached the utility late are in the ` +
    "next bill, marked as an adjustment. If that does not explain it, show this page and your meter's register to the utility."
  );
}
