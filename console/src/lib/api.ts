// The native API, as far as the page uses it (see /v1/openapi.json).

export type StreamState = "live" | "stale" | "offline";

export interface StreamSummary {
  name: string;
  state: StreamState;
  codecs: string[];
  width: number | null;
  height: number | null;
  frame_rate: number | null;
  bitrate_bps: number | null;
  retention_hours: number;
  labels: Record<string, string>;
  last_fragment: { fragment_number: string; producer_timestamp: string; server_timestamp: string } | null;
}

export interface StreamDetail extends StreamSummary {
  created: string;
  arn: string;
  last_key_frame: string | null;
  reconnects: number;
  clock_source: string | null;
  clock_offset_ms: number | null;
  clock_drift_ppm: number | null;
  peer: string | null;
  has_source: boolean;
  source: SourceHealth | null;
  health?: {
    packets_lost: number;
    frames_damaged: number;
    disk_full: boolean;
    last_end: [string, string] | null;
    clock: { drift_ppm: number | null } | null;
  };
}

export interface SourceHealth {
  state: "connecting" | "online" | "waiting";
  since: string;
  reason: string | null;
  action_needed: boolean;
  next_try: string | null;
  failures: number;
  reconnects: number;
  transport: string | null;
  left_out: string[];
}

export interface Source {
  url: string;
  transport: string;
  owner: "api" | "edge" | "file";
  edge?: { schedule: string | null; duration_seconds: number | null };
  health: SourceHealth | null;
}

export interface Probe {
  transport: string;
  tracks: {
    encoding: string;
    codec: string | null;
    width: number;
    height: number;
    sample_rate: number;
    channels: number;
    frame_rate: number | null;
    bitrate: number | null;
  }[];
  left_out: string[];
  gop_seconds: number | null;
  picture: string | null;
}

export interface FoundCamera {
  address: string;
  name: string | null;
  manufacturer: string | null;
  model: string | null;
  profiles: { name: string; token: string; encoding: string | null; width: number | null; height: number | null; url: string | null }[];
  credentials_wanted: boolean;
  trouble: string | null;
}

export interface Bucket {
  start: string;
  end: string;
  covered_ms: number;
  clash_ms: number;
  fragments: number;
}

/** By how much the times of a run are wrong. */
export interface ClockCorrection {
  run_id: string;
  delta_ms: number;
  reason: string;
  set_by: string;
  set: string;
}

/** Tags that somebody gave to a span of time. */
export interface StreamEvent {
  id: string;
  start: string;
  end: string;
  tags: Record<string, string>;
  posted_by: string;
}

export interface Timeline {
  buckets: Bucket[];
  events: StreamEvent[];
  more_events: boolean;
}

export interface Rate {
  records_per_second: number;
  bytes_per_second: number;
}

export interface DataStreamSummary {
  name: string;
  arn: string;
  kind: "records" | "fragments";
  video_stream: string | null;
  created: string;
  retention_hours: number;
  shard_count: number;
  consumer_count: number;
  in: Rate | null;
  out: Rate | null;
  last_record: string | null;
}

export interface Shard {
  shard_id: string;
  starting_hash_key: string;
  ending_hash_key: string;
  in: Rate;
  out: Rate;
  last_record: string | null;
}

export interface Second {
  records: number;
  bytes: number;
}

export interface DataStreamDetail extends DataStreamSummary {
  in: Rate;
  out: Rate;
  shards: Shard[];
  consumers: { name: string; arn: string; created: string }[];
  in_by_second: Second[];
  out_by_second: Second[];
}

export interface Outlet {
  kind: "destination" | "backup";
  to: string;
  deliveries: number;
  records: number;
  bytes: number;
  failures: number;
  failed_records: number;
  expired_records: number;
  waiting_since: string | null;
  lag_seconds: number;
  last_error: { at: string; text: string } | null;
}

export interface Delivery {
  name: string;
  arn: string;
  created: string;
  source: string | null;
  outlets: Outlet[];
}

export interface Info {
  version: string;
  region: string;
  account: string;
  urls: { http: string; https: string; rtsp: string; rtsps: string };
}

export interface DeviceCredential {
  username: string;
  password: string;
  token: string;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** What the page sends with every request, so that it is told to sign in. */
export const PAGE_HEADERS = { "x-millrace-console": "1" };

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, headers: { ...PAGE_HEADERS }, credentials: "same-origin" };
  if (body !== undefined) {
    init.headers = { ...init.headers, "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError(0, "Unreachable", "Millrace does not answer. Is it still running?");
  }
  return (await read(response, path)) as T;
}

/** The JSON of an answer; what it refuses is thrown. */
export async function read(response: Response, path: string): Promise<unknown> {
  const text = await response.text();
  let answer: any = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(response.status, "NotJson", `${path} answered ${response.status} with something that is not JSON`);
  }
  if (!response.ok) {
    const error = answer?.error ?? {};
    throw new ApiError(response.status, error.code ?? "Error", error.message ?? `${path} answered ${response.status}`);
  }
  return answer;
}

const dataStream = (name: string) => `/v1/data-streams/${encodeURIComponent(name)}`;

const stream = (name: string) => `/v1/streams/${encodeURIComponent(name)}`;

function query(params: Record<string, string | number | undefined>): string {
  const given = Object.entries(params).filter(([, value]) => value !== undefined);
  return given.length ? `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}` : "";
}

export const api = {
  session: () => call<{ principal: string }>("GET", "/v1/session"),
  signIn: (access_key_id: string, secret_access_key: string) =>
    call<{ principal: string }>("POST", "/v1/session", { access_key_id, secret_access_key }),
  signOut: () => call<null>("DELETE", "/v1/session"),
  info: () => call<Info>("GET", "/v1/info"),
  streams: async () => (await call<{ streams: StreamSummary[] }>("GET", "/v1/streams")).streams,
  stream: (name: string) => call<StreamDetail>("GET", stream(name)),
  source: (name: string) =>
    call<Source>("GET", `${stream(name)}/source`).catch((error: unknown) => {
      // None, or none of this caller's business.
      if (error instanceof ApiError && (error.status === 404 || error.status === 403)) return null;
      throw error;
    }),
  setSource: (name: string, url: string, transport: string) =>
    call<Source>("PUT", `${stream(name)}/source`, { url, transport }),
  removeSource: (name: string) => call<null>("DELETE", `${stream(name)}/source`),
  probe: (url: string, transport: string) => call<Probe>("POST", "/v1/probe", { url, transport }),
  discover: async (username: string, password: string) => {
    const login = username ? { username, password } : {};
    return (await call<{ cameras: FoundCamera[] }>("POST", "/v1/discover", login)).cameras;
  },
  createStream: (name: string) => call<unknown>("PUT", stream(name), {}),
  createDevice: (name: string) =>
    call<DeviceCredential>("POST", "/v1/devices", { stream: name, allow: ["publish"] }),
  timeline: (name: string, start: Date, end: Date, buckets: number, q?: string) => {
    const window = query({ start: start.toISOString(), end: end.toISOString(), buckets, q });
    return call<Timeline>("GET", `${stream(name)}/timeline${window}`);
  },
  clockCorrections: async (name: string) =>
    (await call<{ clock_corrections: ClockCorrection[] }>("GET", `${stream(name)}/clock-corrections`)).clock_corrections,
  dataStreams: async (kind: DataStreamSummary["kind"]) =>
    (await call<{ data_streams: DataStreamSummary[] }>("GET", `/v1/data-streams${query({ kind })}`)).data_streams,
  dataStream: (name: string) => call<DataStreamDetail>("GET", dataStream(name)),
  recordsUrl: (name: string, asked: Record<string, string | undefined>) =>
    `${dataStream(name)}/records${query({ follow: "true", ...asked })}`,
  deliveries: async () => (await call<{ deliveries: Delivery[] }>("GET", "/v1/deliveries")).deliveries,
  hlsUrl: (name: string, start?: Date, end?: Date) =>
    `${stream(name)}/hls/index.m3u8${query({ start: start?.toISOString(), end: end?.toISOString() })}`,
  clipUrl: (name: string, start: Date, end: Date) =>
    `${stream(name)}/clip.mp4${query({ start: start.toISOString(), end: end.toISOString() })}`,
};
