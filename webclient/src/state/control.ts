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

/** How long an answer may take, at least, before there is reason to doubt, in ms. */
const lateMS = 500;

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
  "standby",
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

  readonly #url: string;
  readonly #socket: WebSocket;
  readonly #life = new AbortController();
  #end: (ending: Ending) => void = () => {};
  #receive: (message: FromRouter) => void;
  /** What is waited for. */
  #awaited: { type: FromRouter["type"]; come: () => void } | null = null;
  #pings = 0;
  /** A welcome whose rest is still to come. */
  #partial: Extract<FromRouter, { type: "welcome" }> | null = null;
  #pingedAt = 0;

  private constructor(url: string, first: FromClient[], receive: (message: FromRouter) => void) {
    this.#url = url;
    this.#socket = new WebSocket(url);
    this.#receive = receive;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#listen(first);
  }

  /**
   * Opens the channel. First messages go out right behind the hello. The
   * channel is open once the welcome has been received and passed on, within
   * limitMS.
   */
  static open(
    url: string,
    hello: { session: string; token: string },
    first: FromClient[],
    receive: (message: FromRouter) => void,
    signal: AbortSignal,
    limitMS: number,
  ): Promise<Control> {
    signal.throwIfAborted();
    const control = new Control(url, [{ type: "hello", ...hello }, ...first], receive);
    return control.#opened("welcome", signal, limitMS);
  }

  /** Opens the channel of a session on standby: nothing is told there until its owner enters. */
  static standBy(
    url: string,
    hello: { session: string; token: string },
    signal: AbortSignal,
    limitMS: number,
  ): Promise<Control> {
    signal.throwIfAborted();
    return new Control(url, [{ type: "hello", ...hello }], () => {}).#opened("standby", signal, limitMS);
  }

  /** Goes into the meeting from standby: as open, on the channel that is there. */
  async enter(
    token: string,
    first: FromClient[],
    receive: (message: FromRouter) => void,
    signal: AbortSignal,
    limitMS: number,
  ): Promise<void> {
    this.#receive = receive;
    for (const message of [{ type: "enter" as const, token }, ...first]) this.send(message);
    await this.#until("welcome", signal, limitMS);
  }

  /** Whether it has ended, or is waited for longer than one would think. */
  get doubtful(): boolean {
    const late = this.askedAt > 0 && performance.now() - this.askedAt > Math.max(lateMS, 3 * this.rtt);
    return late || this.#life.signal.aborted;
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

  /** Wires the socket. */
  #listen(first: FromClient[]): void {
    const { signal } = this.#life;
    const socket = this.#socket;
    socket.addEventListener(
      "open",
      () => {
        for (const message of first) this.send(message);
      },
      { signal },
    );
    socket.addEventListener("message", ({ data }) => typeof data === "string" && this.#take(data), { signal });
    socket.addEventListener("close", () => this.#finish({ why: "lost" }), { signal });
    socket.addEventListener("error", () => this.#finish({ why: "lost" }), { signal });
  }

  /** Resolves when the router has answered the hello. */
  async #opened(answer: FromRouter["type"], signal: AbortSignal, limitMS: number): Promise<this> {
    await this.#until(answer, signal, limitMS);
    every(pingMS, () => this.#ping(), this.#life.signal);
    return this;
  }

  /** Waits for an answer; without it within limitMS the channel is over. */
  async #until(type: FromRouter["type"], signal: AbortSignal, limitMS: number): Promise<void> {
    const abort = () => this.#finish({ why: "closed" });
    signal.addEventListener("abort", abort, { once: true });
    const limit = setTimeout(() => this.#finish({ why: "lost" }), limitMS);
    try {
      const come = new Promise<undefined>((resolve) => {
        this.#awaited = { type, come: () => resolve(undefined) };
      });
      const ending = await Promise.race([come, this.ended]);
      if (ending) throw this.#failure(ending);
    } finally {
      clearTimeout(limit);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Takes one message. */
  #take(text: string): void {
    const message = this.#whole(decode(text));
    this.askedAt = 0;
    this.heardAt = performance.now();
    if (!message) return;
    if (message.type === "pong" && message.n === this.#pings) this.rtt = this.heardAt - this.#pingedAt;
    this.#receive(message);
    if (message.type === "farewell") this.#finish({ why: "farewell", message });
    if (message.type === "refusal" && message.fatal) this.#finish({ why: "refused", message });
    if (message.type === this.#awaited?.type) this.#awaited.come();
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

  #failure(ending: Ending): ProblemError {
    if (ending.why === "refused") return new ProblemError(ending.message.problem);
    if (ending.why === "farewell") return new ProblemError(problem("session_unknown", ending.message.reason));
    return new ProblemError(problem("control_failed", new URL(this.#url).host));
  }
}
