import { describe, expect, it } from "vitest";
import { assign, same, stepFor } from "./wants.ts";

const tile = (participant: string, height = 360) => ({ participant, height });

describe("assign", () => {
  it("fills slots in order", () => {
    expect(assign([], [tile("a"), tile("b")], 25)).toEqual([
      { slot: "v1", participant: "a", max_height: 360 },
      { slot: "v2", participant: "b", max_height: 360 },
    ]);
  });
  it("leaves everybody in their slot when others come and go", () => {
    const before = assign([], [tile("a"), tile("b"), tile("c")], 25);
    const after = assign(before, [tile("d"), tile("c"), tile("a")], 25);
    expect(after).toEqual([
      { slot: "v1", participant: "a", max_height: 360 },
      { slot: "v2", participant: "d", max_height: 360 },
      { slot: "v3", participant: "c", max_height: 360 },
    ]);
  });
  it("never asks for more than there are slots, and keeps the first", () => {
    const wants = assign(
      [],
      ["a", "b", "c", "d"].map((p) => tile(p)),
      2,
    );
    expect(wants.map((w) => w.participant)).toEqual(["a", "b"]);
  });
  it("asks for one person once, at the larger size", () => {
    expect(assign([], [tile("a", 100), tile("a", 700)], 25)).toEqual([
      { slot: "v1", participant: "a", max_height: 720 },
    ]);
  });
  it("asks for nothing when nothing is seen", () => {
    expect(assign(assign([], [tile("a")], 9), [], 9)).toEqual([]);
  });
  it("never gives one slot to two", () => {
    let wants = assign([], [], 9);
    for (let i = 0; i < 200; i++) {
      const shown = Array.from({ length: 9 }, (_, k) => tile(`p${(i * 7 + k * 5) % 31}`));
      wants = assign(wants, shown, 9);
      expect(new Set(wants.map((w) => w.slot)).size).toBe(wants.length);
      expect(new Set(wants.map((w) => w.participant)).size).toBe(wants.length);
    }
  });
});

it.each([
  [1, 90],
  [94, 90],
  [100, 180],
  [360, 360],
  [378, 360],
  [400, 540],
  [5000, 1080],
])("stepFor %i is %i", (height, want) => expect(stepFor(height)).toBe(want));

it("same compares all there is", () => {
  const a = assign([], [tile("a"), tile("b")], 9);
  expect(same(a, assign([], [tile("a"), tile("b")], 9))).toBe(true);
  expect(same(a, assign([], [tile("a")], 9))).toBe(false);
  expect(same(a, assign([], [tile("a"), tile("b", 90)], 9))).toBe(false);
});
