// Phase 4 as the report tells it: when did each connection come up, and by
// which way.
import { type Connections, mediaKinds } from "../media/connections.ts";
import type { MediaKind, SlotID } from "../protocol/messages.ts";
import { problem } from "../protocol/problems.ts";
import { countersOf } from "./live.ts";
import type { Recorder } from "./report.ts";

/** How long connections may take to come up, in ms. */
const connectMS = 15_000;

/**
 * Writes phase 4 into the report as it happens, until signal aborts. Resolves
 * when all connections are up, or have had their time.
 */
export function recordMedia(connections: Connections, recorder: Recorder, signal: AbortSignal): Promise<void> {
  return new Promise((settle) => {
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
      settle();
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
      receiver.track.addEventListener("unmute", arrived, { once: true, signal });
      // Sound may have come before the welcome. Of pictures a router's look at the network seems to be one.
      if (slot.startsWith("a") && !receiver.track.muted) arrived();
    }
    const stop = connections.states.subscribe(look);
    look(); // they may have stood by
    const limit = setTimeout(() => {
      for (const kind of mediaKinds) void outcome(kind, false, `not connected after ${connectMS / 1000} s`);
    }, connectMS);
    signal.addEventListener("abort", () => {
      stop();
      clearTimeout(limit);
      settle();
    });
  });
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
