// What the slots of a session carry, and which picture is whose. Pure.
import type { SlotID, SlotState } from "../protocol/messages.ts";

/** What each slot carries. */
export type Slots = ReadonlyMap<SlotID, SlotState>;

/** Takes changes. */
export function withSlots(before: Slots, changed: readonly SlotState[]): Slots {
  const slots = new Map(before);
  for (const slot of changed) slots.set(slot.slot, slot);
  return slots;
}

/** The slot in which a participant's source is now, if any. */
export function slotOf(slots: Slots, participant: string, source: SlotState["source"]): SlotID | undefined {
  for (const slot of slots.values()) {
    if (slot.participant === participant && slot.source === source) return slot.slot;
  }
  return undefined;
}

/** A session as far as pictures go. */
export interface Showing<S> {
  slots: Slots;
  streams: ReadonlyMap<SlotID, S>;
}

/** Whose pictures there are. */
export interface Pictures<S> {
  /** By participant. */
  cameras: ReadonlyMap<string, S>;
  screen: { by: string; stream: S } | null;
}

/** The pictures of a session; what it lacks yet is shown as by the session before. */
export function pictures<S>(now: Showing<S>, before: Showing<S> | null): Pictures<S> {
  const cameras = new Map<string, S>();
  let screen: Pictures<S>["screen"] = null;
  for (const { slots, streams } of before ? [before, now] : [now]) {
    for (const { slot, participant, source } of slots.values()) {
      const stream = streams.get(slot);
      if (!participant || !stream) continue;
      if (source === "camera") cameras.set(participant, stream);
      if (source === "screen") screen = { by: participant, stream };
    }
  }
  return { cameras, screen };
}

/** Whether two sets of pictures are the same. */
export function samePictures<S>(a: Pictures<S>, b: Pictures<S>): boolean {
  return (
    a.screen?.by === b.screen?.by &&
    a.screen?.stream === b.screen?.stream &&
    a.cameras.size === b.cameras.size &&
    [...a.cameras].every(([id, stream]) => b.cameras.get(id) === stream)
  );
}
