// Lines of tables. Text goes in as text, whatever it holds.

/** Return a table's line of cells [text, class]. */
export function line(...cells) {
  const row = document.createElement("tr");
  for (const [text, kind] of cells) {
    const cell = document.createElement("td");
    cell.textContent = text;
    if (kind) cell.className = kind;
    row.append(cell);
  }
  return row;
}
