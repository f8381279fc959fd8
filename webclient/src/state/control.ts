// The control channel: a WebSocket to the router (phase 3), kept alive with
// pings. It ends once; coming back is the meeting's business.
import { every } from "../media/value.ts";
import type { FromClient, FromRouter } from "../protocol/messages.ts";
import { ProblemError, problem } from "../protocol/problems.ts";

/** How often the channel is pinged, in ms. */
const pingMS = 2000;

/** How often at most, when media gives reason to doubt, in ms. */
const nudgeMS = 280;

/** How long an answer may take before the channel counts as lost, in ms. */
const silenceMS = 3500;

/** Why a channel ended. */
export type Ending =
  | { why: "farewell"; message: Extract<FromRouter, { type: "farewell" }> }
  | { why: "refused"; message: Extract<FromRouter, { type: "refusal" }> }
  | { why: "lost" }
  | { why: "closed" };

/** Decodes a message; null for what this client does not know (readers ignore it). */
export function decode(text: string): FromRouter | null {
  try {
    const message = JSON.parse(text) as { type?: unknown };
    return typeof message === "object" && message !== null && known.has(message.type as FromRouter["type"])
      ? (message as FromRouter)
      : null;
  } catch {
    return null;
  }
}

const known = new Set<FromRouter["type"]>([
  "welcome",
  "roster",
  "audience",
  "slots",
  "sync",
  "speakers",
  "chat",
  "layers",
  "muted",
  "move",
  "farewell",
  "refusal",
  "pong",
]);

/** An open control channel. */
export class Control {
  /** Resolves when the channel has ended, with the reason. */
  readonly ended: Promise<Ending>;
  /** Round trip of the latest ping, in ms. */
  rtt = 0;
  /** When the last message came, on performance.now's clock. */
  heardAt = 0;
  /** When the oldest ping that waits for a sign of life was sent; 0 when none does. */
  askedAt = 0;

  readonly #socket: WebSocket;
  readonly #life = new AbortController();
  #end: (ending: Ending) => void = () => {};
  #pings = 0;
  /** A welcome whose rest is still to come. */
  #partial: Extract<FromRouter, { type: "welcome" }> | null = null;
  #pingedAt = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /**
   * Opens the channel. First messages go out right behind the hello. The
   * channel is open once the welcome has been received and passed on, within
   * limitMS.
   */
  static async open(
    url: string,
    hello: { session: string; token: string },
    first: FromClient[],
    receive: (message: FromRouter) => void,
    signal: AbortSignal,
    limitMS: number,
  ): Promise<Control> {
    signal.throwIfAborted();
    const control = new Control(new WebSocket(url));
    const abort = () => control.#finish({ why: "closed" });
    signal.addEventListener("abort", abort, { once: true });
    const welcomed = control.#listen([{ type: "hello", ...hello }, ...first], receive);
    const limit = setTimeout(() => control.#finish({ why: "lost" }), limitMS);
    try {
      const ending = await Promise.race([welcomed, control.ended]);
      if (ending) throw control.#failure(ending, url);
    } finally {
      clearTimeout(limit);
      signal.removeEventListener("abort", abort);
    }
    every(pingMS, () => control.#ping(), control.#life.signal);
    return control;
  }

  /** Sends a message; one that can no longer be sent is dropped. */
  send(message: FromClient): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Asks for a sign of life now, unless that was done a moment ago. */
  nudge(): void {
    if (performance.now() - this.#pingedAt >= nudgeMS) this.#ping();
  }

  close(): void {
    this.#finish({ why: "closed" });
  }

  /** Wires the socket; resolves with the welcome. */
  #listen(first: FromClient[], receive: (message: FromRouter) => void): Promise<undefined> {
    const { signal } = this.#life;
    return new Promise((resolve) => {
      this.#socket.addEventListener(
        "open",
        () => {
          for (const message of first) this.send(message);
        },
        { signal },
      );
      this.#socket.addEventListener(
        "message",
        (event: MessageEvent) => {
          if (typeof event.data === "string" && this.#take(event.data, receive)) resolve(undefined);
        },
        { signal },
      );
      this.#socket.addEventListener("close", () => this.#finish({ why: "lost" }), { signal });
      this.#socket.addEventListener("error", () => this.#finish({ why: "lost" }), { signal });
    });
  }

  /** Takes one message; true for the welcome. */
  #take(text: string, receive: (message: FromRouter) => void): boolean {
    const message = this.#whole(decode(text));
    this.askedAt = 0;
    this.heardAt = performance.now();
    if (!message) return false;
    if (message.type === "pong" && message.n === this.#pings) this.rtt = this.heardAt - this.#pingedAt;
    receive(message);
    if (message.type === "farewell") this.#finish({ why: "farewell", message });
    if (message.type === "refusal" && message.fatal) this.#finish({ why: "refused", message });
    return message.type === "welcome";
  }

  /** Puts the parts of a long welcome together; null while some are missing. */
  #whole(message: FromRouter | null): FromRouter | null {
    const before = this.#partial;
    if (message?.type === "welcome") this.#partial = message;
    else if (!before || message?.type !== "roster") return message;
    else {
      const participants = [...before.participants, ...(message.changed ?? [])];
      this.#partial = { ...before, participants, parts: (before.parts ?? 0) - 1 };
    }
    const now = this.#partial;
    if (!now || (now.parts ?? 0) > 0) return null;
    this.#partial = null;
    return now;
  }

  /** Pings, unless nothing has come for too long. */
  #ping(): void {
    if (this.#life.signal.aborted) return;
    const now = performance.now();
    if (this.askedAt > 0 && now - this.askedAt > silenceMS) {
      this.#finish({ why: "lost" });
      return;
    }
    this.askedAt ||= now;
    this.#pingedAt = now;
    this.send({ type: "ping", n: ++this.#pings });
  }

  #finish(ending: Ending): void {
    if (this.#life.signal.aborted) return;
    this.#life.abort();
    this.#socket.close();
    this.#end(ending);
  }

  #failure(ending: Ending, url: string): ProblemError {
    if (ending.why === "refused") return new ProblemError(ending.message.problem);
    if (ending.why === "farewell") return new ProblemError(problem("session_unknown", ending.message.reason));
    return new ProblemError(problem("control_failed", new URL(url).host));
  }
}
