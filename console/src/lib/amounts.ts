// Numbers as people read them, with spaces that no line breaks at.

const UNITS = ["", "k", "M", "G", "T"];

/** `0`, `0.4`, `12`, `3.4 k`, `12 M` */
export function amount(value: number): string {
  let [size, unit] = [value, 0];
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = size === 0 || size >= 10 || (unit === 0 && Number.isInteger(size)) ? 0 : 1;
  const shown = size > 0 && size < 0.05 ? "<0.1" : size.toFixed(digits);
  return UNITS[unit] ? `${shown}\u00a0${UNITS[unit]}` : shown;
}

/** `3.4 kB` */
export function bytes(value: number): string {
  const text = amount(value);
  return text.includes("\u00a0") ? `${text}B` : `${text}\u00a0B`;
}

/** Seconds in the largest unit that says something: `0 s`, `45 s`, `12 min`, `3 h`, `2 d`. */
export function duration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
