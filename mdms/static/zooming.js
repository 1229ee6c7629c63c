// A window on a longer span of time: half of it, twice it, and the one beside it, always within the span. UTC seconds.

export const LEAST_ZOOM_S = 120;
const MINUTE_S = 60;

/** Return the middle half of a window, to the minute, or null where it is as small as it gets. */
export function closer({ from, to }) {
  const width = Math.max(LEAST_ZOOM_S, Math.round((to - from) / 2 / MINUTE_S) * MINUTE_S);
  if (width >= to - from) return null;
  const begin = from + Math.floor((to - from - width) / 2 / MINUTE_S) * MINUTE_S;
  return { from: begin, to: begin + width };
}

/** Return a window twice as wide around the same middle, or null where that is the whole span. */
export function wider({ from, to }, span) {
  const width = 2 * (to - from);
  if (width >= span.to - span.from) return null;
  return within(from - Math.round(width / 4 / MINUTE_S) * MINUTE_S, width, span);
}

/** Return the window that begins where this one ends, or with `by` -1 the one before it, no further than the span. */
export function shifted({ from, to }, by, span) {
  return within(from + by * (to - from), to - from, span);
}

function within(from, width, span) {
  const begin = Math.max(span.from, Math.min(from, span.to - width));
  return { from: begin, to: begin + width };
}
