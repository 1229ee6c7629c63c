// The places of a page, by their ids.

/** Return the element of an id. */
export function part(id) {
  return document.getElementById(id);
}

/** Write a text where another stands: what is written again would be said again by a screen reader. */
export function write(id, text) {
  if (part(id).textContent !== text) part(id).textContent = text;
}
