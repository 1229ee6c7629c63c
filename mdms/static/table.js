// Elements with text, and lines of tables of them. Text goes in as text, whatever it holds.

/** Return an element of a kind (a tag's name) with text in it. */
export function element(kind, text, name = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

/** Return a table's line of cells [text, class]. */
export function line(...cells) {
  const row = document.createElement("tr");
  row.append(...cells.map(([text, name]) => element("td", text, name)));
  return row;
}
