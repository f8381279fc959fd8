import { describe, expect, it } from "vitest";
import { choose, decided, jitter, measures, median, type ProbeRecord, patience, score } from "./choose.ts";
import { verdict } from "./verdict.ts";

interface Wanted {
  rtts?: number[];
  load?: number;
  weight?: number;
  own?: boolean;
  state?: "open" | "full" | "draining" | "empty";
  done?: boolean;
  error?: string;
  controller?: string;
}

function record(zone: string, w: Wanted = {}): ProbeRecord {
  const { rtts = [], load = 0, weight = 0, own = false, state = "open" } = w;
  return {
    zone: { id: zone, name: zone, own, weight, load, distance_km: -1, controllers: [] },
    controller: { id: w.controller ?? `${zone}-1`, url: `https://${zone}.example.org` },
    rtts,
    dnsMS: 0,
    connectMS: 0,
    tlsMS: 0,
    ...(rtts.length > 0 ? { answer: { zone, controller: "", state, load, weight } } : {}),
    ...(w.done ? { done: true } : {}),
    ...(w.error ? { error: w.error, done: true } : {}),
  };
}
const order = (records: ProbeRecord[], previous = "") => choose(records, previous).map((r) => r.controller.id);

describe("choose", () => {
  const cases: [string, ProbeRecord[], string, string[]][] = [
    [
      "the shorter round trip wins",
      [record("far", { rtts: [40] }), record("near", { rtts: [10] })],
      "",
      ["near-1", "far-1"],
    ],
    ["who has not answered is not in it", [record("a", { rtts: [10] }), record("b")], "", ["a-1"]],
    [
      "an idle zone costs nothing up to half its load",
      [record("a", { rtts: [10], load: 0.5 }), record("b", { rtts: [11] })],
      "",
      ["a-1", "b-1"],
    ],
    [
      "a full load costs 100 ms",
      [record("a", { rtts: [10], load: 1 }), record("b", { rtts: [90] })],
      "",
      ["b-1", "a-1"],
    ],
    [
      "one's own network's zone is preferred",
      [record("a", { rtts: [18], own: true }), record("b", { rtts: [1] })],
      "",
      ["a-1", "b-1"],
    ],
    [
      "but not when it is far away",
      [record("a", { rtts: [30], own: true }), record("b", { rtts: [1] })],
      "",
      ["b-1", "a-1"],
    ],
    [
      "the operator's weight counts as milliseconds",
      [record("a", { rtts: [10], weight: 50 }), record("b", { rtts: [40] })],
      "",
      ["b-1", "a-1"],
    ],
    [
      "what jitters is worth less",
      [record("a", { rtts: [10, 40, 10] }), record("b", { rtts: [25] })],
      "",
      ["b-1", "a-1"],
    ],
    [
      "a full zone is a last resort",
      [record("a", { rtts: [1], state: "full" }), record("b", { rtts: [900] })],
      "",
      ["b-1", "a-1"],
    ],
    [
      "controllers of the best zone come together",
      [record("a", { rtts: [10] }), record("b", { rtts: [12] }), record("a", { rtts: [30], controller: "a-2" })],
      "",
      ["a-1", "a-2", "b-1"],
    ],
    ["equals go by name", [record("b", { rtts: [10] }), record("a", { rtts: [10] })], "", ["a-1", "b-1"]],
    [
      "the old zone is kept when the new one wins by little",
      [record("old", { rtts: [30] }), record("new", { rtts: [21] })],
      "old",
      ["old-1", "new-1"],
    ],
    [
      "… by 10 ms but not by a third",
      [record("old", { rtts: [90] }), record("new", { rtts: [70] })],
      "old",
      ["old-1", "new-1"],
    ],
    [
      "… by a third but not by 10 ms",
      [record("old", { rtts: [20] }), record("new", { rtts: [11] })],
      "old",
      ["old-1", "new-1"],
    ],
    [
      "the old zone is left when both hold",
      [record("old", { rtts: [60] }), record("new", { rtts: [40] })],
      "old",
      ["new-1", "old-1"],
    ],
    ["an old zone that is silent is no reason", [record("old"), record("new", { rtts: [40] })], "old", ["new-1"]],
  ];
  it.each(cases)("%s", (_, records, previous, want) => expect(order(records, previous)).toEqual(want));
});

describe("decided", () => {
  it("waits for the first answer", () => expect(decided([record("a")], "", 100)).toBe(false));
  it("is at once when there is one zone", () => expect(decided([record("a", { rtts: [10] })], "", 12)).toBe(true));
  it("wants three samples of each that could win", () => {
    expect(decided([record("a", { rtts: [10] }), record("b", { rtts: [12] })], "", 1000)).toBe(false);
    const enough = [record("a", { rtts: [10, 10, 10] }), record("b", { rtts: [12, 12, 12] })];
    expect(decided(enough, "", 1000)).toBe(true);
  });
  it("does not wait for who is hopeless", () => {
    expect(decided([record("a", { rtts: [10] }), record("b", { rtts: [200] })], "", 1000)).toBe(true);
  });
  it("waits for a silent zone only as long as it could still win", () => {
    const records = [record("a", { rtts: [10] }), record("b")];
    expect(patience(records, "")).toBe(10 * measures.firstAnswer + measures.firstLeewayMS);
    expect(decided(records, "", 50)).toBe(false);
    expect(decided(records, "", 101)).toBe(true);
  });
  it("waits longer for the zone that one comes from", () => {
    const records = [record("a", { rtts: [30] }), record("old")];
    expect(patience(records, "old")).toBeGreaterThan(patience(records, ""));
  });
  it("does not wait for who failed for certain", () => {
    expect(patience([record("a", { rtts: [10] }), record("b", { error: "refused" })], "")).toBe(0);
  });
  it("never waits beyond the budget", () => {
    expect(patience([record("a", { rtts: [4000] }), record("b")], "")).toBe(measures.budgetMS);
  });
});

describe("numbers", () => {
  it("median takes the lower of an even number", () => {
    expect(median([])).toBe(0);
    expect(median([5])).toBe(5);
    expect(median([4, 1])).toBe(1);
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 3, 2, 1])).toBe(2);
  });
  it("jitter is the mean step", () => {
    expect(jitter([10])).toBe(0);
    expect(jitter([10, 14, 12])).toBe(3);
  });
  it("the penalty is that of the answer, not of the package", () => {
    const r = record("a", { rtts: [10], load: 1 });
    r.zone.load = 0;
    expect(score(r)).toBe(110);
  });
});

describe("the verdict in words", () => {
  const says = (records: ProbeRecord[], previous = "") => verdict(choose(records, previous), previous);
  it("says what the choice was made of", () => {
    expect(says([])).toBe("no zone answered");
    expect(says([record("tpe", { rtts: [20, 20, 20] })])).toBe("zone tpe: 20 ms; no other zone had answered");
    expect(says([record("tpe", { rtts: [20] }), record("fra", { rtts: [10], load: 0.9, weight: -5 })])).toBe(
      "zone tpe: 20 ms; next best zone fra: 10 ms, load +64, weight -5",
    );
    expect(says([record("tpe", { rtts: [20] }), record("fra", { rtts: [10], state: "full" })])).toBe(
      "zone tpe: 20 ms; next best zone fra: 10 ms, it says that it is full",
    );
  });
  it("says why the old zone was kept or left", () => {
    const two = [record("tpe", { rtts: [29] }), record("fra", { rtts: [20] })];
    expect(says(two, "tpe")).toBe("zone tpe: 29 ms; kept, because zone fra is not better by 10 ms and a third: 20 ms");
    const far = [record("tpe", { rtts: [85] }), record("fra", { rtts: [20] })];
    expect(says(far, "tpe")).toBe("zone fra: 20 ms; clearly better than zone tpe, which it was before: 85 ms");
  });
});
