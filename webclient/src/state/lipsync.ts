// Applies lip sync (media/sync.ts) to the people who are heard and seen now.
import type { Connections } from "../media/connections.ts";
import { type Buffers, playoutDelay, type Steering, steer, targets, unsteered } from "../media/sync.ts";
import type { SlotID, SlotSync } from "../protocol/messages.ts";
import { type Slots, slotOf } from "./slots.ts";

type Receiver = RTCRtpReceiver & { jitterBufferTarget?: number | null };

/** A person whose sound and picture are both in slots. */
interface Pair {
  audio: SlotID;
  video: SlotID;
}

/** Holds the steering of each person. */
export class LipSync {
  readonly #syncs = new Map<SlotID, SlotSync>();
  readonly #steerings = new Map<string, Pair & { steering: Steering }>();
  readonly #counters = new Map<SlotID, { delay: number; emitted: number }>();

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
    const now = pairs(slots);
    for (const [id, held] of this.#steerings) {
      const pair = now.get(id);
      if (pair?.audio === held.audio && pair.video === held.video) continue;
      this.#steerings.delete(id); // a slot carries somebody else now
      for (const slot of [held.audio, held.video]) {
        this.#syncs.delete(slot);
        setTarget(connections.receivers.get(slot), null);
      }
    }
    for (const [id, pair] of now) await this.#steer(id, pair, connections);
  }

  async #steer(id: string, pair: Pair, connections: Connections): Promise<void> {
    const audio = connections.receivers.get(pair.audio);
    const video = connections.receivers.get(pair.video);
    const heard = this.#delay(pair.audio, audio);
    const seen = this.#delay(pair.video, video);
    if (!audio || !video || heard === undefined || seen === undefined) return;
    const before = this.#steerings.get(id)?.steering ?? unsteered;
    const buffers: Buffers = {
      audio: await this.#buffered(pair.audio, audio),
      video: await this.#buffered(pair.video, video),
    };
    const steering = steer(before, seen - heard, buffers);
    this.#steerings.set(id, { ...pair, steering });
    const target = targets(steering);
    setTarget(audio, target.audio);
    setTarget(video, target.video);
  }

  #delay(slot: SlotID, receiver: RTCRtpReceiver | undefined): number | undefined {
    const sync = this.#syncs.get(slot);
    const played = receiver?.getSynchronizationSources()[0];
    if (!sync || !played || sync.clock_rate <= 0) return undefined;
    return playoutDelay({ rtpTimestamp: played.rtpTimestamp, timestamp: played.timestamp }, sync);
  }

  /** The mean time that samples lately spent in a receiver's jitter buffer, in ms. */
  async #buffered(slot: SlotID, receiver: RTCRtpReceiver): Promise<number> {
    let found = 0;
    for (const stat of (await receiver.getStats()).values()) {
      if (stat.type !== "inbound-rtp") continue;
      const delay = (stat.jitterBufferDelay ?? 0) * 1000;
      const emitted = stat.jitterBufferEmittedCount ?? 0;
      const before = this.#counters.get(slot) ?? { delay: 0, emitted: 0 };
      this.#counters.set(slot, { delay, emitted });
      if (emitted > before.emitted) found = (delay - before.delay) / (emitted - before.emitted);
    }
    return found;
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
