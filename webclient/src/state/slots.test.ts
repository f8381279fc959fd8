import { describe, expect, it } from "vitest";
import type { SlotState } from "../protocol/messages.ts";
import { pictures, type Showing, samePictures, slotOf, withSlots } from "./slots.ts";

const slots = (...all: SlotState[]) => withSlots(new Map(), all);
const camera = (slot: string, participant?: string): SlotState =>
  participant ? { slot, participant, source: "camera" } : { slot };
/** A session whose streams are named by its own name and the slot. */
const session = (name: string, ...all: SlotState[]): Showing<string> => ({
  slots: slots(...all),
  streams: new Map(["a1", "v1", "v2", "c1"].map((slot) => [slot, `${name}-${slot}`])),
});

describe("slots", () => {
  it("take changes and keep the rest", () => {
    const before = slots(camera("v1", "ann"), camera("v2", "ben"));
    const after = withSlots(before, [camera("v1"), camera("v3", "ann")]);
    expect(slotOf(after, "ann", "camera")).toBe("v3");
    expect(slotOf(after, "ben", "camera")).toBe("v2");
    expect(slotOf(after, "ben", "mic")).toBeUndefined();
    expect(before.get("v1")?.participant).toBe("ann"); // not touched
  });
});

describe("pictures", () => {
  it("are by person, and the screen by who shares it", () => {
    const now = session("new", camera("v1", "ann"), { slot: "c1", participant: "ben", source: "screen" });
    const shown = pictures(now, null);
    expect([...shown.cameras]).toEqual([["ann", "new-v1"]]);
    expect(shown.screen).toEqual({ by: "ben", stream: "new-c1" });
  });
  it("stay those of the session before until the new one has its own", () => {
    const before = session("old", camera("v1", "ann"), camera("v2", "ben"));
    expect([...pictures(session("new"), before).cameras.values()]).toEqual(["old-v1", "old-v2"]);
    const shown = pictures(session("new", camera("v2", "ann")), before);
    expect([...shown.cameras]).toEqual([
      ["ann", "new-v2"],
      ["ben", "old-v2"],
    ]);
  });
  it("of sound and of slots without a stream are none", () => {
    expect(
      pictures(session("new", { slot: "a1", participant: "ann", source: "mic" }, camera("v9", "ben")), null),
    ).toEqual({ cameras: new Map(), screen: null });
  });
  it("are the same when every stream is", () => {
    const a = pictures(session("s", camera("v1", "ann")), null);
    expect(samePictures(a, pictures(session("s", camera("v1", "ann")), null))).toBe(true);
    expect(samePictures(a, pictures(session("t", camera("v1", "ann")), null))).toBe(false);
    expect(samePictures(a, pictures(session("s", camera("v1", "ben")), null))).toBe(false);
    const screen = session("s", camera("v1", "ann"), { slot: "c1", participant: "ben", source: "screen" });
    expect(samePictures(a, pictures(screen, null))).toBe(false);
  });
});
