// The records of a data stream as they arrive: JSON lines of an answer that does not end.

import { ApiError, PAGE_HEADERS, api, read } from "./api";

export interface StreamRecord {
  shard_id: string;
  sequence_number: string;
  arrived: string;
  partition_key: string;
  encoding: "text" | "base64";
  data: string;
  size_bytes: number;
}

interface Mark {
  cursor: string;
  behind_ms: number;
  end?: "caught_up" | "limit" | "stopping";
}

export interface Listener {
  records: (records: StreamRecord[]) => void;
  /** How far behind the newest record; null while there is no connection. */
  behind: (ms: number | null) => void;
  /** Why nothing comes any more. */
  failed: (why: string) => void;
}

/** Where to begin, and one shard, where not all are wanted. */
interface Wanted {
  from: string;
  shard: string | undefined;
}

const PAUSE_MS = 2000;

/** Reads until it is told to stop; goes on by itself where a connection breaks. */
export function follow(name: string, wanted: Wanted, listener: Listener): () => void {
  const stop = new AbortController();
  void listen(name, wanted, listener, stop.signal);
  return () => stop.abort();
}

async function listen(name: string, { from, shard }: Wanted, listener: Listener, signal: AbortSignal) {
  // Cursors are told once a second: another connection tells some records again.
  const last = new Map<string, bigint>();
  const fresh = (record: StreamRecord) => {
    const number = BigInt(record.sequence_number);
    if (number <= (last.get(record.shard_id) ?? -1n)) return false;
    last.set(record.shard_id, number);
    return true;
  };
  let cursor: string | undefined;
  while (!signal.aborted) {
    try {
      const path = api.recordsUrl(name, cursor ? { cursor, shard } : { from, shard });
      const response = await fetch(path, { headers: PAGE_HEADERS, credentials: "same-origin", signal });
      if (!response.ok || !response.body) throw (await read(response, path), new ApiError(response.status, "Error", path));
      for await (const lines of pieces(response.body)) {
        const records: StreamRecord[] = [];
        for (const line of lines) {
          if ("error" in line) throw new ApiError(400, line.error.code, line.error.message);
          if ("cursor" in line) {
            cursor = line.cursor;
            listener.behind(line.behind_ms);
          } else if (fresh(line)) {
            records.push(line);
          }
        }
        if (records.length) listener.records(records);
      }
    } catch (error) {
      if (signal.aborted) return;
      // What the server refuses it refuses again; a connection that broke is tried again.
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) {
        listener.failed(error.message);
        return;
      }
    }
    listener.behind(null);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

type Line = StreamRecord | Mark | { error: { code: string; message: string } };

/** The whole lines of each piece that comes. */
async function* pieces(body: ReadableStream<Uint8Array>): AsyncGenerator<Line[]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield lines.filter(Boolean).map((line) => JSON.parse(line) as Line);
  }
}

/** What a record says, as far as it can be shown: text, or its size and first bytes. */
export function shown(record: StreamRecord): string {
  if (record.encoding === "text") return record.data;
  const head = Array.from(atob(record.data.slice(0, 64)), (c) => c.charCodeAt(0).toString(16).padStart(2, "0"));
  return `(${record.size_bytes} bytes) ${head.join(" ")}${record.data.length > 64 ? " …" : ""}`;
}

/** The same over several lines, where it is JSON; its numbers stay as they are written, however long. */
export function spread(record: StreamRecord): string {
  try {
    if (record.encoding === "text") JSON.parse(record.data);
  } catch {
    return shown(record);
  }
  return record.encoding === "text" ? indented(record.data) : shown(record);
}

function indented(json: string): string {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let [text, depth] = ["", 0];
  const newLine = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, at) => {
    const empty = /^[}\]]$/.test(token) && /^[{[]$/.test(tokens[at - 1] ?? "");
    if (/^[{[]$/.test(token)) {
      depth += 1;
      text += token + (/^[}\]]$/.test(tokens[at + 1] ?? "") ? "" : newLine());
    } else if (/^[}\]]$/.test(token)) {
      depth -= 1;
      text += (empty ? "" : newLine()) + token;
    } else {
      text += token === "," ? `,${newLine()}` : token === ":" ? ": " : token;
    }
  });
  return text;
}

/** `3` of `shardId-000000000003`. */
export const shardNumber = (id: string) => String(Number(id.replace("shardId-", "")));
