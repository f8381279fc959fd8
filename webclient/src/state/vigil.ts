// The watch over one session: is its router alive, is its media path? It asks
// pathwatch.ts, and the browser's own word on the connections.
import { type Connections, mediaKinds } from "../media/connections.ts";
import { every, Value } from "../media/value.ts";
import type { MediaKind } from "../protocol/messages.ts";
import { countersOf } from "./live.ts";
import { type Channel, judge, lookMS, silence, type Watched, watchPath } from "./pathwatch.ts";

/** How long connections may take to come up, in ms. */
const connectMS = 15_000;

/** How long the browser may call a connection disconnected before it is given up, in ms. */
const patienceMS = 1000;

/**
 * For so long at first, in ms, a connection that fails is tried again: after a change of network Chromium goes on for about
 * two seconds with the addresses of before, has therefore nothing to try with, and fails at once. And how often.
 */
const unready = { forMS: 4000, everyMS: 200 };

/**
 * What is wrong: the router is dead; a path is cut while the router lives;
 * media was never there, or the browser has given it up.
 */
export type Trouble = "dead" | "cut" | "media";

/** The control channel, to be looked at and asked for a sign of life. */
export interface Lifeline extends Channel {
  nudge: () => void;
}

/** Watches one set of connections. End it with its signal. */
export class Vigil {
  /** What is wrong now; null while nothing is. */
  readonly trouble = new Value<Trouble | null>(null);
  everConnected = false;

  readonly #connections: Connections;
  readonly #lifeline: () => Lifeline;
  readonly #signal: AbortSignal;
  #watched: { kind: MediaKind; path: Watched } | undefined;
  #doubtedAt = 0;
  #late = false;
  /** Those that were up once. */
  readonly #up = new Set<MediaKind>();
  readonly #beganAt = performance.now();
  #again: ReturnType<typeof setTimeout> | undefined;

  constructor(connections: Connections, lifeline: () => Lifeline, signal: AbortSignal) {
    this.#connections = connections;
    this.#lifeline = lifeline;
    this.#signal = signal;
    const stop = connections.states.subscribe(() => this.#states());
    const limit = setTimeout(() => {
      this.#late = true;
      this.#states();
    }, connectMS);
    signal.addEventListener("abort", () => {
      stop();
      clearTimeout(limit);
      clearTimeout(this.#again);
    });
    every(lookMS, () => void this.#look().catch(() => {}), signal); // fails only when closed meanwhile
    this.#states(); // of connections that stood by
  }

  #say(trouble: Trouble | null): void {
    if (!this.#signal.aborted) this.trouble.set(trouble);
  }

  #states(): void {
    const states = this.#connections.states.get();
    for (const kind of mediaKinds) if (states[kind] === "connected") this.#up.add(kind);
    if (states.audio === "connected") this.everConnected = true;
    if (!this.#failed()) return;
    const never = mediaKinds.every((kind) => states[kind] !== "failed" || !this.#up.has(kind));
    const early = never && performance.now() - this.#beganAt < unready.forMS;
    if (early) this.#again ??= setTimeout(() => void this.#tryAgain(), unready.everyMS);
    else this.#say("media");
  }

  /** Has the browser look for addresses of its own again. */
  async #tryAgain(): Promise<void> {
    await this.#connections.restart().catch(() => {}); // closed meanwhile
    this.#again = undefined;
    if (!this.#signal.aborted) this.#states();
  }

  #failed(): boolean {
    const states = this.#connections.states.get();
    return mediaKinds.some((k) => states[k] === "failed" || (this.#late && states[k] === "connecting"));
  }

  /** Looks at a connection on which we send: it gets feedback all the time, for pictures more often than for sound. */
  async #look(): Promise<void> {
    if (globalThis.navigator?.onLine === false) {
      this.#watched = undefined; // the network is gone: nobody else is to blame
      return;
    }
    const states = this.#connections.states.get();
    const camera = (["camera", "camera_scalable"] as const).find((form) => this.#connections.sending(form));
    const filming = camera && ["connected", "disconnected"].includes(states.video);
    const watching = filming ? "video" : "audio";
    const sender = this.#connections.sender(filming ? camera : "mic");
    const { bytesIn, sent } = await countersOf(this.#connections.peers[watching], sender?.track ? sender : undefined);
    const now = { at: performance.now(), bytesIn, sent };
    const before = this.#watched?.kind === watching ? this.#watched.path : undefined;
    const path = watchPath(before, now);
    this.#watched = { kind: watching, path };
    const lifeline = this.#lifeline();
    const verdict = judge(path, now, lifeline);
    if (verdict !== "well") lifeline.nudge();
    if (verdict === "dead" || verdict === "cut") return this.#say(verdict);
    if (this.#failed() || !this.everConnected) return;
    this.#say(this.#doubts(now.at, states, lifeline) ? "cut" : null);
  }

  /** Whether the browser has called a connection disconnected for too long, while the router lives. */
  #doubts(now: number, states: Record<MediaKind, RTCPeerConnectionState>, lifeline: Lifeline): boolean {
    if (!mediaKinds.some((kind) => states[kind] === "disconnected")) {
      this.#doubtedAt = 0;
      return false;
    }
    this.#doubtedAt ||= now;
    lifeline.nudge();
    return now - this.#doubtedAt >= patienceMS && lifeline.heardAt > this.#doubtedAt + silence.outlived;
  }
}
