// The account's bills as lines of a table.

import { kwh } from "./figures.js";
import { line } from "./table.js";

const part = (id) => document.getElementById(id);

/** Show the account's bills and the tariff of the newest. */
export function showBills({ tariff, bills }) {
  part("price").textContent = tariff ? `${tariff}.` : "";
  const lines = bills.map((bill) => {
    const remark = bill.status === "released" ? remarks(bill) : bill.why;
    const row = line([""], [kwh(bill.import_mwh), "n"], [kwh(bill.export_mwh), "n"], [bill.amount ?? "–", "n"], [remark]);
    const link = document.createElement("a");
    link.href = bill.page;
    // Its own tab: this page forgets the readings when it is left.
    link.target = "_blank";
    link.rel = "noopener";
    link.textContent = bill.period;
    row.firstElementChild.replaceChildren(link);
    return row;
  });
  if (!lines.length) lines.push(line(["No period has ended yet."]));
  part("bills").replaceChildren(...lines);
}

function remarks(bill) {
  const estimated = bill.estimated ? `estimate: intervals missing or estimated in ${bill.estimated} of ${bill.windows} windows` : "";
  const adjusted = bill.adjusted ? `adjustment: ${bill.adjusted} windows of earlier periods` : "";
  const bands = bill.sums.filter((sum) => sum.bands.length).map((sum) => `${sum.bands.join("+")} ${kwh(sum.import_mwh)} kWh`);
  return [bands.join(", "), estimated, adjusted].filter((text) => text).join("; ");
}
