// Events on the timeline: which ones the pointer is at, and what they are called.

import type { StreamEvent } from "./api";
import { clockText } from "./time";

/** The events that are at a time, or nearer to it than this; those whose start is nearest come first. */
export function around(events: StreamEvent[], at: Date, nearMs: number): StreamEvent[] {
  const time = at.getTime();
  const distance = (event: StreamEvent) => Math.abs(new Date(event.start).getTime() - time);
  const near = events.filter(
    (event) => new Date(event.start).getTime() - nearMs <= time && new Date(event.end).getTime() + nearMs >= time,
  );
  return near.sort((one, other) => distance(one) - distance(other));
}

/** `14:05:07 label: person, zone: gate` */
export function describe(event: StreamEvent): string {
  const tags = Object.entries(event.tags).map(([name, value]) => `${name}: ${value}`);
  return `${clockText(new Date(event.start))} ${tags.join(", ")}`;
}
