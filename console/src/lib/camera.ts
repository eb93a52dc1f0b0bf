// Cameras that are pulled from, as the page asks for them and tells of them.

import { ApiError, type SourceHealth } from "./api";

/** What the form asks for. */
export interface Wanted {
  name: string;
  url: string;
  user: string;
  password: string;
  transport: string;
}

/** A field of the form that an error belongs to. */
export type FieldName = "name" | "url" | "user" | "password" | "transport";

/** The address with user and password put in, in place of those that may stand there. */
export function withLogin({ url, user, password }: Wanted): string {
  const typed = url.trim();
  if (!user && !password) return typed;
  const parts = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)(.*)$/i.exec(typed);
  if (!parts) return typed;
  const host = (parts[2] ?? "").replace(/^.*@/, "");
  return `${parts[1]}${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}${parts[3]}`;
}

/** An address as the server shows it, without the mark that stands for user and password. */
export function withoutMark(url: string): string {
  return url.replace("://***@", "://");
}

/** The field that an error is about, and what it says. */
export function trouble(error: unknown): { field: FieldName | null; text: string } {
  const text = error instanceof Error ? error.message : String(error);
  const named = /^(name|url|transport|username|password): (.*)$/s.exec(text);
  if (named) return { field: named[1] === "username" ? "user" : (named[1] as FieldName), text: named[2] ?? text };
  if (error instanceof ApiError && error.code === "camera") {
    return { field: /user name|password|credentials/.test(text) ? "password" : "url", text };
  }
  return { field: null, text };
}

/** Where pulling stands, in a sentence. */
export function told(health: SourceHealth, now: Date): string {
  const until = health.next_try ? Math.max(0, Math.ceil((Date.parse(health.next_try) - now.getTime()) / 1000)) : 0;
  switch (health.state) {
    case "online":
      return `Media comes in${health.transport ? ` over ${health.transport.toUpperCase()}` : ""}.`;
    case "connecting":
      return health.reason ? `Trying again. Last time: ${health.reason}` : "Connecting…";
    case "waiting":
      return `${health.reason ?? "The last attempt failed"} — next try in ${until} s.`;
  }
}
