// Wrong clocks, in words: time that two runs claim, and what was noted of a run's clock.

import type { Bucket, ClockCorrection } from "./api";
import { duration } from "./amounts";
import { clockText, dayText } from "./time";

/** Milliseconds of these buckets that more than one run claims. */
export function clashMs(buckets: Bucket[]): number {
  return buckets.reduce((sum, bucket) => sum + bucket.clash_ms, 0);
}

/** The buckets that hold a time, or are nearer to it than this. */
export function bucketsAt(buckets: Bucket[], at: Date, nearMs: number): Bucket[] {
  const time = at.getTime();
  return buckets.filter(
    (bucket) => new Date(bucket.start).getTime() - nearMs <= time && new Date(bucket.end).getTime() + nearMs > time,
  );
}

/** What a clash is, of this length. */
export function clashText(ms: number): string {
  return `Two recordings claim the same ${duration(Math.max(1, ms / 1000))} here: a clock was set back. Both are kept.`;
}

/** `+60 min`, `-450 ms` */
function delta(ms: number): string {
  const size = Math.abs(ms);
  return `${ms < 0 ? "-" : "+"}${size < 1000 ? `${size} ms` : duration(size / 1000)}`;
}

/** When a run began: its id ends with that, in milliseconds since 1970. */
function began(run: string): Date {
  return new Date(Number(run.slice(-15)));
}

/** Which run a correction is of. */
export function correctedRun({ run_id }: ClockCorrection): string {
  const at = began(run_id);
  return `Clock from ${dayText(at)} ${clockText(at)}`;
}

/** By how much its times are wrong, and why. */
export function correctionText({ delta_ms, reason }: ClockCorrection): string {
  return `${delta(delta_ms)} to be added: ${reason}`;
}

/** The same to the millisecond, with who noted it and when. */
export function correctionDetail({ delta_ms, set_by, set }: ClockCorrection): string {
  return `${delta_ms} ms, noted by ${set_by} on ${new Date(set).toLocaleString()}. What is stored stays as it was.`;
}
