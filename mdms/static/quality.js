// What a reading's quality bits say (protocol, chapter 2), for everything here that tells or draws them.

export const APPARENT = 0x01;
export const POWER_FAILED = 0x04;
const ESTIMATED = 0x08;

/** What the meter did not plainly measure: what the bill counts as an estimate, and the files of one's own call questionable. */
export const ESTIMATES = ESTIMATED | APPARENT;
