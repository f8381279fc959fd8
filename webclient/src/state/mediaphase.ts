// Phase 4 as seen by the report, and the watch over the media connections
// afterwards: when did each come up, and has the path been lost?
import { type Connections, mediaKinds } from "../media/connections.ts";
import { every } from "../media/value.ts";
import type { MediaKind, SlotID } from "../protocol/messages.ts";
import { problem } from "../protocol/problems.ts";
import { countersOf } from "./live.ts";
import { isDead, lookMS, silentMS, type Watched, watchPath } from "./pathwatch.ts";
import type { Recorder } from "./report.ts";

/** How long connections may take to come up, in ms. */
const connectMS = 15_000;

/** How long a connection may be without answers before it is given up, in ms. */
const patienceMS = 7000;

/** A channel that shows whether the network is alive. */
interface Lifeline {
  heardAt: number;
  nudge: () => void;
}

/** How media was lost: for good, or cut while everything else lives. */
export type Loss = "media" | "cut";

/** Watches one set of connections. End it with close, or by its signal. */
export class MediaPhase {
  /** Resolves when the sound's or the pictures' path is lost for good. */
  readonly failed: Promise<Loss>;
  /** Resolves when all connections are up, or have had their time. */
  readonly settled: Promise<void>;
  everConnected = false;

  readonly #life = new AbortController();
  readonly #timers = new Map<MediaKind, ReturnType<typeof setTimeout>>();
  readonly #connections: Connections;
  readonly #paths = new Map<MediaKind, Watched>();
  #doubtedAt = 0;
  #fail: (how?: Loss) => void = () => {};
  #settle: () => void = () => {};

  constructor(connections: Connections, recorder: Recorder | null, signal: AbortSignal) {
    this.failed = new Promise((resolve) => {
      this.#fail = (how = "media") => resolve(how);
    });
    this.#connections = connections;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    signal.addEventListener("abort", () => this.close(), { once: true, signal: this.#life.signal });
    if (recorder) this.#record(connections, recorder);
    const stop = connections.states.subscribe((states) => {
      for (const kind of mediaKinds) this.#watch(kind, states[kind]);
    });
    this.#life.signal.addEventListener("abort", stop);
  }

  /** From now on also notices a path that dies while the control channel lives. */
  guard(lifeline: () => Lifeline | null): void {
    every(lookMS, () => void this.#look(lifeline()).catch(() => {}), this.#life.signal); // fails only when closed meanwhile
  }

  /** Looks at a connection on which we send: it gets feedback all the time, for pictures more often than for sound. */
  async #look(lifeline: Lifeline | null): Promise<void> {
    const sends = { audio: "mic", video: "camera" } as const;
    const up = this.#connections.states.get();
    if (up.audio === "disconnected" || up.video === "disconnected") return this.#doubt(lifeline);
    this.#doubtedAt = 0;
    const kind = (["video", "audio"] as const).find(
      (k) => up[k] === "connected" && this.#connections.sender(sends[k])?.track,
    );
    for (const other of this.#paths.keys()) if (other !== kind) this.#paths.delete(other);
    if (!kind || !lifeline) return;
    const { bytesIn, sent } = await countersOf(this.#connections.peers[kind]);
    const now = { at: performance.now(), bytesIn, sent };
    const watched = watchPath(this.#paths.get(kind), now);
    this.#paths.set(kind, watched);
    if (isDead(watched, now, lifeline.heardAt)) this.#fail("cut");
    else if (now.at - watched.heardAt > silentMS / 2 && lifeline.heardAt < watched.heardAt + silentMS / 2)
      lifeline.nudge();
  }

  /** The browser has called a connection disconnected: it gets a second to find another path by itself. */
  #doubt(lifeline: Lifeline | null): void {
    const now = performance.now();
    this.#doubtedAt ||= now;
    if (!lifeline || now - this.#doubtedAt < silentMS) return;
    if (lifeline.heardAt > this.#doubtedAt) this.#fail("cut");
    else lifeline.nudge();
  }

  close(): void {
    this.#life.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #watch(kind: MediaKind, state: RTCPeerConnectionState): void {
    const arm = (ms: number) => {
      if (!this.#timers.has(kind))
        this.#timers.set(
          kind,
          setTimeout(() => this.#fail(), ms),
        );
    };
    const disarm = () => {
      clearTimeout(this.#timers.get(kind));
      this.#timers.delete(kind);
    };
    if (state === "connected") {
      this.everConnected = true;
      disarm();
    } else if (state === "failed") this.#fail();
    else if (state === "connecting") arm(connectMS);
    else if (state === "disconnected") arm(patienceMS);
  }

  /** Writes phase 4 into the report as it happens. */
  #record(connections: Connections, recorder: Recorder): void {
    const [started, done] = [new Set<MediaKind>(), new Set<MediaKind>()];
    let began = 0;
    let phase: ReturnType<Recorder["begin"]> | undefined;
    const outcome = async (kind: MediaKind, ok: boolean, error?: string) => {
      if (started.has(kind) || !phase) return;
      started.add(kind);
      const peer = connections.peers[kind];
      const connect_ms = Math.round(recorder.now() - began);
      const { transport, remote } = await countersOf(peer);
      const common = {
        target: remote || candidate(peer.remoteDescription?.sdp ?? ""),
        transport: ok ? transport : "udp, tcp, tls",
        via: "direct",
        media: kind,
        tls_ms: 0,
        rtt_ms: 0,
        jitter_ms: 0,
      };
      phase.attempt({ ...common, connect_ms, ok, ...(error ? { error } : {}) });
      if (!ok && kind === "audio") phase.fail(problem("media_failed", error));
      done.add(kind);
      if (done.size < mediaKinds.length) return;
      if (connections.states.get().audio === "connected") phase.done();
      this.#settle();
    };
    const look = () => {
      const states = connections.states.get();
      for (const kind of mediaKinds) {
        if (states[kind] !== "new" && !phase) {
          began = recorder.now();
          phase = recorder.begin("media");
        }
        if (states[kind] === "connected") void outcome(kind, true);
        if (states[kind] === "failed") void outcome(kind, false, "no answer from the router's media port");
      }
    };
    for (const [slot, receiver] of connections.receivers) {
      // A track is muted until the first packet of its slot arrives.
      const arrived = () => recorder.flows(kindOfSlot(slot));
      receiver.track.addEventListener("unmute", arrived, { once: true, signal: this.#life.signal });
    }
    const stop = connections.states.subscribe(look);
    const limit = setTimeout(() => {
      for (const kind of mediaKinds) void outcome(kind, false, `not connected after ${connectMS / 1000} s`);
    }, connectMS);
    this.#life.signal.addEventListener("abort", () => {
      stop();
      clearTimeout(limit);
    });
  }
}

/** The connection to which a slot belongs. */
function kindOfSlot(slot: SlotID): MediaKind {
  return slot.startsWith("a") ? "audio" : slot.startsWith("v") ? "video" : "content";
}

/** The address in the first candidate of a description, for the report. */
function candidate(sdp: string): string {
  const found = /^a=candidate:\S+ \d+ \S+ \d+ (\S+) (\d+)/m.exec(sdp);
  if (!found) return "";
  return found[1]?.includes(":") ? `[${found[1]}]:${found[2]}` : `${found[1]}:${found[2]}`;
}
