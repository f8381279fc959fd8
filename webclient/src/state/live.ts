// Reads the connections' statistics into the few numbers that people and the
// report need.
import { type Connections, mediaKinds } from "../media/connections.ts";
import type { MediaKind, Transport } from "../protocol/messages.ts";

/** One connection's counters. */
export interface Counters {
  state: RTCPeerConnectionState;
  transport: Transport;
  remote: string;
  sent: number;
  /** Of what was sent, how much did not arrive at first: never, or after it was sent again. */
  missed: number;
  received: number;
  /** The router reported that something we sent has arrived. */
  acknowledged: boolean;
  lost: number;
  bytesIn: number;
  bytesOut: number;
  rttMS: number;
}

/** One connection now, with rates since the reading before. */
export interface LiveMedia extends Counters {
  kbpsIn: number;
  kbpsOut: number;
  /** Share of lost packets since the reading before, 0 … 1. */
  loss: number;
}

/** All connections. */
export type LiveStats = Record<MediaKind, LiveMedia>;

type Entry = Record<string, unknown> & { id: string; type: string };

const number = (v: unknown): number => (typeof v === "number" ? v : 0);

/** Sums up one connection's statistics. Pure. */
export function sum(entries: Iterable<Entry>, state: RTCPeerConnectionState): Counters {
  const all = new Map<string, Entry>();
  for (const entry of entries) all.set(entry.id, entry);
  const out: Counters = {
    state,
    transport: "udp",
    remote: "",
    sent: 0,
    missed: 0,
    received: 0,
    acknowledged: false,
    lost: 0,
    bytesIn: 0,
    bytesOut: 0,
    rttMS: 0,
  };
  for (const entry of all.values()) {
    if (entry.type === "inbound-rtp") {
      out.received += number(entry.packetsReceived);
      out.lost += Math.max(0, number(entry.packetsLost));
    } else if (entry.type === "outbound-rtp") {
      out.sent += number(entry.packetsSent);
      out.missed += number(entry.retransmittedPacketsSent);
    } else if (entry.type === "remote-inbound-rtp") {
      out.acknowledged = true;
      out.missed += Math.max(0, number(entry.packetsLost));
    } else if (entry.type === "transport") {
      out.bytesIn = number(entry.bytesReceived);
      out.bytesOut = number(entry.bytesSent);
      path(out, all, all.get(String(entry.selectedCandidatePairId)));
    }
  }
  return out;
}

function path(out: Counters, all: Map<string, Entry>, pair: Entry | undefined): void {
  const remote = pair && all.get(String(pair.remoteCandidateId));
  if (!pair || !remote) return;
  out.rttMS = number(pair.currentRoundTripTime) * 1000;
  const address = String(remote.address ?? remote.ip ?? "");
  out.remote = address.includes(":") ? `[${address}]:${remote.port}` : `${address}:${remote.port}`;
  const relay = all.get(String(pair.localCandidateId));
  const protocol = relay?.relayProtocol ?? remote.protocol;
  out.transport = protocol === "tls" || protocol === "tcp" ? protocol : "udp";
}

/** Reads one connection's counters, or those of one of its senders, which is less work. */
export async function countersOf(peer: RTCPeerConnection, sender?: RTCRtpSender): Promise<Counters> {
  const entries: Entry[] = [];
  (await (sender ?? peer).getStats()).forEach((entry) => {
    entries.push(entry as Entry);
  });
  return sum(entries, peer.connectionState);
}

/** Adds rates to a reading. Pure. */
export function rates(before: Counters | undefined, now: Counters, ms: number): LiveMedia {
  const per = (a: number, b: number): number => (before && ms > 0 ? Math.max(0, ((b - a) * 8) / ms) : 0);
  const lost = Math.max(0, now.lost - (before?.lost ?? now.lost));
  const received = Math.max(0, now.received - (before?.received ?? now.received));
  return {
    ...now,
    kbpsIn: per(before?.bytesIn ?? 0, now.bytesIn),
    kbpsOut: per(before?.bytesOut ?? 0, now.bytesOut),
    loss: lost + received > 0 ? lost / (lost + received) : 0,
  };
}

/** Reads the statistics again and again. */
export class StatsReader {
  #before: Partial<Record<MediaKind, Counters>> = {};
  #at = 0;

  async read(connections: Connections): Promise<LiveStats> {
    const now = performance.now();
    const out: Partial<LiveStats> = {};
    for (const kind of mediaKinds) {
      const counters = await countersOf(connections.peers[kind]);
      out[kind] = rates(this.#before[kind], counters, now - this.#at);
      this.#before[kind] = counters;
    }
    this.#at = now;
    return out as LiveStats;
  }
}
