// When what is received is played: late enough for repairs (media/cushion.ts),
// and a person's sound and picture together (media/sync.ts).
import type { Connections } from "../media/connections.ts";
import { type Arrivals, cushion, noCushion } from "../media/cushion.ts";
import { playoutDelay, type Steering, steer, targets, unsteered } from "../media/sync.ts";
import type { SlotID, SlotSync } from "../protocol/messages.ts";
import { type Slots, slotOf } from "./slots.ts";

type Receiver = RTCRtpReceiver & { jitterBufferTarget?: number | null };

/** A person whose sound and picture are both in slots. */
interface Pair {
  audio: SlotID;
  video: SlotID;
}

/** What a receiver's statistics tell. */
interface Reading extends Arrivals {
  rttMS: number;
  /** The mean time that was lately spent in its jitter buffer, in ms. */
  buffered: number;
}

/** Owns the targets of a session's jitter buffers. */
export class Playout {
  readonly #syncs = new Map<SlotID, SlotSync>();
  readonly #steerings = new Map<string, Pair & { steering: Steering }>();
  readonly #counters = new Map<SlotID, { delay: number; emitted: number }>();
  /** What was counted by slots that are not in use any more, too: it only grows. */
  readonly #arrived = new Map<SlotID, Arrivals>();
  #cushion = noCushion;

  /** Takes a Sync message. */
  learn(slots: readonly SlotSync[]): void {
    for (const slot of slots) this.#syncs.set(slot.slot, slot);
  }

  /** The skews as they are now, for the connection panel: participant → ms. */
  skews(): Map<string, number> {
    return new Map([...this.#steerings].map(([id, s]) => [id, s.steering.skew]));
  }

  /** Measures and steers once. Called twice a second. */
  async tick(slots: Slots, connections: Connections): Promise<void> {
    const readings = await this.#read(slots, connections);
    this.#soften(readings);
    const holds = this.#holds(slots, connections, readings);
    for (const slot of readings.keys()) {
      const floor = this.#cushion.ms + (this.#syncs.get(slot)?.repair_ms ?? 0);
      setTarget(connections.receivers.get(slot), Math.max(floor, holds.get(slot) ?? 0) || null);
    }
  }

  /** Reads those slots that carry something. */
  async #read(slots: Slots, connections: Connections): Promise<Map<SlotID, Reading>> {
    const readings = new Map<SlotID, Reading>();
    for (const { slot, participant } of slots.values()) {
      const receiver = connections.receivers.get(slot);
      if (receiver && participant) readings.set(slot, this.#reading(slot, await receiver.getStats()));
    }
    return readings;
  }

  #reading(slot: SlotID, stats: RTCStatsReport): Reading {
    const out: Reading = { received: 0, lost: 0, nacks: 0, rttMS: 0, buffered: 0 };
    for (const stat of stats.values()) {
      if (stat.type === "candidate-pair" && stat.nominated) out.rttMS = (stat.currentRoundTripTime ?? 0) * 1000;
      if (stat.type !== "inbound-rtp") continue;
      out.received = stat.packetsReceived ?? 0;
      out.lost = Math.max(0, stat.packetsLost ?? 0);
      out.nacks = stat.nackCount ?? 0;
      const delay = (stat.jitterBufferDelay ?? 0) * 1000;
      const emitted = stat.jitterBufferEmittedCount ?? 0;
      const before = this.#counters.get(slot) ?? { delay: 0, emitted: 0 };
      this.#counters.set(slot, { delay, emitted });
      if (emitted > before.emitted) out.buffered = (delay - before.delay) / (emitted - before.emitted);
    }
    return out;
  }

  /** Adds up what came by all slots: they share one way. */
  #soften(readings: ReadonlyMap<SlotID, Reading>): void {
    let rttMS = 0;
    for (const [slot, reading] of readings) {
      this.#arrived.set(slot, reading);
      rttMS = Math.max(rttMS, reading.rttMS);
    }
    const sum: Arrivals = { received: 0, lost: 0, nacks: 0 };
    for (const { received, lost, nacks } of this.#arrived.values()) {
      sum.received += received;
      sum.lost += lost;
      sum.nacks += nacks;
    }
    this.#cushion = cushion(this.#cushion, sum, rttMS, performance.now());
  }

  /** What is held back so that people's sound and picture come together, in ms by slot. */
  #holds(slots: Slots, connections: Connections, readings: ReadonlyMap<SlotID, Reading>): Map<SlotID, number> {
    const now = pairs(slots);
    for (const [id, held] of this.#steerings) {
      const pair = now.get(id);
      if (pair?.audio === held.audio && pair.video === held.video) continue;
      this.#steerings.delete(id); // a slot carries somebody else now
      for (const slot of [held.audio, held.video]) {
        this.#syncs.delete(slot);
        if (!readings.has(slot)) setTarget(connections.receivers.get(slot), null);
      }
    }
    const holds = new Map<SlotID, number>();
    for (const [id, pair] of now) {
      const heard = this.#delay(pair.audio, connections);
      const seen = this.#delay(pair.video, connections);
      if (heard === undefined || seen === undefined) continue;
      const buffers = {
        audio: readings.get(pair.audio)?.buffered ?? 0,
        video: readings.get(pair.video)?.buffered ?? 0,
      };
      const steering = steer(this.#steerings.get(id)?.steering ?? unsteered, seen - heard, buffers);
      this.#steerings.set(id, { ...pair, steering });
      const { audio, video } = targets(steering);
      holds.set(pair.audio, audio ?? 0).set(pair.video, video ?? 0);
    }
    return holds;
  }

  #delay(slot: SlotID, connections: Connections): number | undefined {
    const sync = this.#syncs.get(slot);
    const played = connections.receivers.get(slot)?.getSynchronizationSources()[0];
    if (!sync || !played || sync.clock_rate <= 0) return undefined;
    return playoutDelay({ rtpTimestamp: played.rtpTimestamp, timestamp: played.timestamp }, sync);
  }
}

/** Those who are both heard and seen, without oneself. */
function pairs(slots: Slots): Map<string, Pair> {
  const out = new Map<string, Pair>();
  for (const slot of slots.values()) {
    if (slot.source !== "mic" || !slot.participant) continue;
    const video = slotOf(slots, slot.participant, "camera");
    if (video) out.set(slot.participant, { audio: slot.slot, video });
  }
  return out;
}

function setTarget(receiver: Receiver | undefined, ms: number | null): void {
  if (receiver && "jitterBufferTarget" in receiver && receiver.jitterBufferTarget !== ms)
    receiver.jitterBufferTarget = ms;
}
