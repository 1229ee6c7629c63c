// The account's bills as lines of a table.

import { clock, date, kwh, moment } from "./figures.js";
import { part } from "./parts.js";
import { element, line } from "./table.js";

const BROKEN = "The bill could not be compared: something went wrong on this page, and nothing is lost. Load it again.";

const MOST_GAPS = 3; // of a day
const MOST_DAYS = 5; // that are named

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
  part("check-days-box").hidden = true;
}

/** Say in words whether a bill is the sum of the own readings, and where it is not. */
function showCheck(bill, found) {
  say(verdict(bill, found), found.verdict === "equal" ? "good" : "warn");
  part("check-proof").textContent = proof(bill, found);
  part("check-proof").className = found.proved ? "good" : "warn";
  const rows = [...found.sums.map((sum) => [sum.bands.join(" + "), sum.billed, sum.mine]), ["in all", found.billed, found.mine]];
  part("check-rows").replaceChildren(
    ...rows.map(([name, billed, mine]) => {
      const cells = [billed.importMwh, mine.importMwh, billed.exportMwh, mine.exportMwh].map((mwh) => [kwh(mwh), "n"]);
      return line([name], ...cells, apart(billed, mine) ? ["differs", "warn"] : ["equal", "good"]);
    }),
  );
  part("check-days-box").hidden = !found.days.length;
  part("check-days").replaceChildren(...found.days.map((day) => lineOf(day, bill.zone)));
  part("check").scrollIntoView({ block: "nearest" });
}

function apart(billed, mine) {
  return billed.importMwh !== mine.importMwh || billed.exportMwh !== mine.exportMwh;
}

function lineOf({ from, to, mine, gaps, estimated }, zone) {
  const said = gaps.slice(0, MOST_GAPS).map(([begun, ended]) => `${clock(begun, zone)} to ${ended === to ? "the end" : clock(ended, zone)}`);
  if (gaps.length > MOST_GAPS) said.push(`${gaps.length - MOST_GAPS} more`);
  const whole = gaps.length && gaps[0][0] === from && gaps[0][1] === to;
  const missing = whole ? "no readings" : said.length ? `no readings from ${said.join(", ")}` : "";
  const remark = [missing, estimated ? `${estimated} ${estimated === 1 ? "reading" : "readings"} estimated` : ""].filter((text) => text).join("; ");
  return line([date(from, zone), "t"], [kwh(mine.importMwh), "n"], [kwh(mine.exportMwh), "n"], [remark, "warn remark"]);
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

function verdict(bill, { verdict: found, missing, upTo, billed, mine, sums, days }) {
  if (found === "equal") return "Equal: the bill holds exactly what your own meter sealed, band by band.";
  if (found === "incomplete") {
    const [from, to] = missing.map((at) => moment(at, bill.zone));
    return (
      `It cannot be compared yet: your readings from ${from} to ${to} are not here. Where older readings are still being ` +
      "opened, check again when they are; where they are older than the utility keeps them, compare with your meter's display."
    );
  }
  const together = upTo.equal ? " All bills up to this one together are equal to your readings." : "";
  if (found === "carried") return `The bill carries ${bill.adjusted} windows of earlier periods, so it differs from this period's readings by those.${together}`;
  const ways = [["import", billed.importMwh - mine.importMwh], ["export", billed.exportMwh - mine.exportMwh]];
  const differences = ways.filter(([, mwh]) => mwh).map(([way, mwh]) => `${kwh(Math.abs(mwh))} kWh ${mwh > 0 ? "more" : "less"} ${way}`);
  const bands = sums.filter((sum) => apart(sum.billed, sum.mine)).map((sum) => sum.bands.join(" + "));
  const where = bands.length ? ` The difference is in ${bands.join(" and ")}.` : "";
  const doubtful = days.filter(({ gaps, estimated }) => gaps.length || estimated).map(({ from }) => date(from, bill.zone));
  const likely = whereToLook(doubtful, days.length);
  const said = differences.length ? `the bill has ${differences.join(" and ")} than your readings` : "the same energy is in other bands";
  return (
    `It differs: ${said}.${where}${together}${likely} Readings that reached the utility late are in the ` +
    "next bill, marked as an adjustment. If that does not explain it, show this page and your meter's register to the utility."
  );
}

function whereToLook(doubtful, all) {
  if (!doubtful.length) return " Your readings are here without a gap, and none is estimated.";
  // Of a meter that measures current alone every reading is an estimate: that points to no day.
  if (doubtful.length === all) return " On every day readings are missing or estimated.";
  return ` Look first at ${some(doubtful)}: readings are missing or estimated there.`;
}

function some(days) {
  return days.length > MOST_DAYS ? `${days.slice(0, MOST_DAYS).join(", ")} and ${days.length - MOST_DAYS} days more` : days.join(", ");
}
