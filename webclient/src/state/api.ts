// HTTP to our own servers: JSON in, JSON or a problem out.
import type { CreateMeeting, Meeting, Report } from "../protocol/messages.ts";
import { isCode, ProblemError, problem } from "../protocol/problems.ts";

/** What a request may need besides its address. */
export interface RequestOptions {
  method?: string;
  body?: unknown;
  bearer?: string;
  /** Sends the body as a page may without asking another origin first (a round trip): no header tells what it is. Long ones are compressed. */
  plain?: boolean;
  signal?: AbortSignal;
  /** Gives up after so many milliseconds. */
  timeoutMS?: number;
}

/** From so many bytes on a body takes more than one round trip, as TCP begins slowly. */
const longBody = 8192;

/** Makes a body; a long one that may be plain is compressed (RFC 1952), which its first bytes tell. */
async function encode(body: unknown, plain: boolean): Promise<string | Blob> {
  const text = JSON.stringify(body);
  if (!plain || text.length < longBody || typeof CompressionStream !== "function") return text;
  const packed = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Blob([await new Response(packed).arrayBuffer()], { type: "text/plain" });
}

/** Sends a request. Whatever fails comes out as a ProblemError; unreachable is the code for no answer at all. */
export async function request<T>(
  url: string,
  unreachable: "web_unreachable" | "zones_unreachable",
  options: RequestOptions = {},
): Promise<T> {
  const headers: Record<string, string> = {};
  if (options.body !== undefined) headers["Content-Type"] = options.plain ? "text/plain" : "application/json";
  if (options.bearer) headers.Authorization = `Bearer ${options.bearer}`;
  const timeout = AbortSignal.timeout(options.timeoutMS ?? 10_000);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  let response: Response;
  try {
    response = await fetch(url, {
      method: options.method ?? (options.body === undefined ? "GET" : "POST"),
      headers,
      cache: "no-store",
      credentials: "omit",
      signal,
      ...(options.body === undefined ? {} : { body: await encode(options.body, options.plain === true) }),
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new ProblemError(problem(unreachable, error instanceof Error ? error.message : String(error)));
  }
  if (!response.ok) throw new ProblemError(await problemFrom(response));
  if (response.status === 204) return undefined as T;
  try {
    return (await response.json()) as T;
  } catch {
    throw new ProblemError(
      problem("internal", `the answer of ${new URL(url, globalThis.location?.href).host} is not JSON`),
    );
  }
}

/** Reads a problem+json answer (RFC 9457); any other error answer is told by its status. */
async function problemFrom(response: Response) {
  try {
    const body = (await response.json()) as { code?: unknown; detail?: unknown };
    if (isCode(body.code)) return problem(body.code, typeof body.detail === "string" ? body.detail : undefined);
  } catch {
    // Not ours: a proxy's page, perhaps.
  }
  const code = response.status === 429 ? "rate_limited" : response.status === 404 ? "not_found" : "internal";
  return problem(code, `HTTP status ${response.status}`);
}

/** Creates a meeting. The key is needed where the server lets only holders of one create meetings. */
export function createMeeting(meeting: CreateMeeting, apiKey?: string): Promise<Meeting> {
  return request<Meeting>("/api/v1/meetings", "web_unreachable", {
    body: meeting,
    ...(apiKey ? { bearer: apiKey } : {}),
  });
}

/** Leaves the report of a join with the server. Works while the page is going away; failure is of no consequence. */
export function postReport(report: Report, token: string): void {
  void fetch("/api/v1/reports", {
    method: "POST",
    keepalive: true,
    credentials: "omit",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify(report),
  }).catch(() => {});
}
