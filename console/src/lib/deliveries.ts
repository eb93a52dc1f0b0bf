// How deliveries go, in words.

import type { Delivery, Outlet } from "./api";
import { amount, duration } from "./amounts";

export type DeliveryState = "failing" | "gathering" | "up to date" | "idle";

/** Where an outlet stands. */
export function stateOf(outlet: Outlet): DeliveryState {
  if (outlet.last_error) return "failing";
  if (outlet.waiting_since) return "gathering";
  return outlet.deliveries ? "up to date" : "idle";
}

/** A delivery stream stands where the worst of its outlets does. */
export function worst(delivery: Delivery): DeliveryState {
  const states = delivery.outlets.map(stateOf);
  const order: DeliveryState[] = ["failing", "gathering", "up to date"];
  return order.find((state) => states.includes(state)) ?? "idle";
}

/** The state in a sentence. */
export function told(outlet: Outlet): string {
  switch (stateOf(outlet)) {
    case "failing":
      return `Failing; the oldest record that waits arrived ${duration(outlet.lag_seconds)} ago`;
    case "gathering":
      return `Gathering: the oldest record that waits arrived ${duration(outlet.lag_seconds)} ago`;
    case "up to date":
      return "Everything is delivered";
    case "idle":
      return "No record has come since the server started";
  }
}

const ADVICE: [RegExp, string][] = [
  [/no S3|NotOffered|not offered/i, "This build has no S3: build it with the cargo feature gateway/s3."],
  [/NoSuchBucket/i, "The store has no such bucket: make it there, and what waits is delivered."],
  [
    /AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|credential|status 40[13]|\b403\b/i,
    "The destination refuses the key: for a store check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the server's environment, for an endpoint its access key.",
  ],
  [/not allowed|link-local|allow list/i, "The server may not connect there: outbound.allow says where it may."],
  [/certificate|tls/i, "The destination's certificate is not believed: name its authority in firehose.ca."],
  [/status 413|too large/i, "The endpoint takes no requests of that size: give the delivery stream a smaller buffer."],
  [/status 429|status 503|SlowDown|throttl/i, "The destination asks for less: nothing to do unless it goes on."],
  [
    /connect|refused|resolve|dns|name or service|timed? ?out|unreachable|did not answer|broke off|reset|dispatch/i,
    "The destination is not reached: see whether it runs, and whether its address is right.",
  ],
];

/** What to do about the last error. */
export function advice(outlet: Outlet): string {
  const text = outlet.last_error?.text ?? "";
  const found = ADVICE.find(([pattern]) => pattern.test(text))?.[1];
  return `${found ?? "The destination's own log may say more."} It is tried again by itself; the records wait in the log.`;
}

/** What was not delivered as it should have been; empty where nothing is. */
export function losses(outlet: Outlet): string {
  const told = [];
  if (outlet.failed_records) told.push(`${amount(outlet.failed_records)} records stored under the error prefix instead`);
  if (outlet.expired_records) told.push(`${amount(outlet.expired_records)} records expired before they were delivered`);
  return told.join("; ");
}

/** `orders` of `arn:aws:kinesis:…:stream/orders`. */
export const streamOf = (arn: string) => arn.slice(arn.indexOf("/") + 1);
