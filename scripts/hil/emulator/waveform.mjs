// What the ADC's pins see. A channel is {"volts": bias, "sines": [[amplitude in volts, Hz, phase in degrees], ...],
// "noise": volts (uniform, each way), "stuck": code}; all but "volts" may be left out.
export const REFERENCE_VOLTS = 3.3;
export const CODES = 4096;

export function voltsAt(channel, seconds, random = Math.random) {
  let volts = channel.volts;
  for (const [amplitude, hertz, degrees] of channel.sines ?? [])
    volts += amplitude * Math.sin(2 * Math.PI * hertz * seconds + (degrees * Math.PI) / 180);
  return volts + (channel.noise ?? 0) * (2 * random() - 1);
}

export function codeAt(channel, seconds, random = Math.random) {
  if (channel.stuck !== undefined) return channel.stuck;
  const code = Math.floor((voltsAt(channel, seconds, random) / REFERENCE_VOLTS) * CODES);
  return Math.max(0, Math.min(CODES - 1, code));
}
