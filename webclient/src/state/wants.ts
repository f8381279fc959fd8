// What to ask the router for: which participant in which video slot, at what
// height. A pure function of the tiles on the screen and of what was asked
// before, so that a participant stays in its slot as long as it is visible.
import type { SlotID, SlotWant } from "../protocol/messages.ts";

/** A picture that is on the screen. */
export interface VisibleTile {
  participant: string;
  /** Device pixels. */
  height: number;
}

/** Heights to ask for: few steps, so that resizing a window does not change layers all the time. */
const steps = [90, 180, 270, 360, 540, 720, 1080];

/** Rounds a height up to the next step. */
export function stepFor(height: number): number {
  return steps.find((s) => s >= height * 0.95) ?? 1080;
}

/** Assigns visible tiles to slots. Tiles beyond the number of slots are not seen: the first ones matter most. */
export function assign(before: readonly SlotWant[], tiles: readonly VisibleTile[], slots: number): SlotWant[] {
  const wanted = new Map<string, number>();
  for (const tile of tiles) {
    if (wanted.size >= slots && !wanted.has(tile.participant)) continue;
    wanted.set(tile.participant, Math.max(wanted.get(tile.participant) ?? 0, stepFor(tile.height)));
  }
  const kept = new Map<SlotID, string>();
  for (const want of before) if (wanted.has(want.participant)) kept.set(want.slot, want.participant);
  const placed = new Set(kept.values());
  const waiting = [...wanted.keys()].filter((p) => !placed.has(p));
  const out: SlotWant[] = [];
  for (let i = 1; i <= slots; i++) {
    const slot = `v${i}`;
    const participant = kept.get(slot) ?? waiting.shift();
    if (participant) out.push({ slot, participant, max_height: wanted.get(participant) ?? 180 });
  }
  return out;
}

/** Fills in who came where anybody was asked for. */
export function named(wants: readonly SlotWant[], slots: ReadonlyMap<SlotID, { participant?: string }>): SlotWant[] {
  return wants.map((w) => (w.participant === "" ? { ...w, participant: slots.get(w.slot)?.participant ?? "" } : w));
}

/** Says whether two wishes are the same. */
export function same(a: readonly SlotWant[], b: readonly SlotWant[]): boolean {
  return (
    a.length === b.length &&
    a.every((w, i) => {
      const v = b[i];
      return v?.slot === w.slot && v.participant === w.participant && v.max_height === w.max_height;
    })
  );
}
