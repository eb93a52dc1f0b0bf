// Times as people read and type them. The page shows local time; the API speaks UTC.

import { duration } from "./amounts";

const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");

export function clockText(at: Date): string {
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

export function dayText(at: Date): string {
  return at.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" });
}

/** `YYYY-MM-DDTHH:MM:SS` in local time: the form of an `<input type="datetime-local">`. */
export function inputText(at: Date): string {
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${clockText(at)}`;
}

/** How long ago, in the largest unit that says something: `4 s`, `12 min`, `3 h`, `2 d`. */
export function ago(at: Date, now: Date): string {
  return duration(Math.max(0, (now.getTime() - at.getTime()) / 1000));
}

/**
 * Reads what a person types into the jump box: an ISO time, epoch seconds or milliseconds,
 * `14:05`, `yesterday 14:05`, or `-10m` (before now; s, m, h or d). Null when it is none of these.
 */
export function parseJump(text: string, now: Date): Date | null {
  const typed = text.trim().toLowerCase();
  const before = /^-\s*(\d+(?:\.\d+)?)\s*([smhd])$/.exec(typed);
  if (before) {
    const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[before[2] as "s" | "m" | "h" | "d"];
    return new Date(now.getTime() - Number(before[1]) * unit * 1000);
  }
  const ofDay = /^(?:(today|yesterday)\s+)?(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(typed);
  if (ofDay) {
    const at = new Date(now);
    at.setHours(Number(ofDay[2]), Number(ofDay[3]), Number(ofDay[4] ?? 0), 0);
    const implied = !ofDay[1] && at > now;
    if (ofDay[1] === "yesterday" || implied) at.setDate(at.getDate() - 1);
    return at;
  }
  if (/^\d{9,}(\.\d+)?$/.test(typed)) {
    const value = Number(typed);
    return new Date(value >= 1e11 ? value : value * 1000);
  }
  const at = new Date(text.trim());
  return /\d{4}-\d{2}-\d{2}/.test(typed) && !Number.isNaN(at.getTime()) ? at : null;
}
