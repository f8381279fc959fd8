import { describe, expect, it } from "vitest";
import { bounds, noRedundancy, redundancy, type Sent } from "./redundancy.ts";

/** Reads the counters every two seconds, so many packets each time, of which a share was missed. Tells when it was on. */
function play(shares: number[], packets = 100) {
  let state = noRedundancy;
  const sum: Sent = { sent: 0, missed: 0 };
  return shares.map((share, i) => {
    sum.sent += packets;
    sum.missed += packets * share;
    state = redundancy(state, { ...sum }, i * 2000);
    return state.on;
  });
}

const times = (n: number, share: number): number[] => Array<number>(n).fill(share);

describe("redundancy", () => {
  it("is off where nothing is lost, or hardly anything", () => {
    expect(play(times(50, 0))).not.toContain(true);
    expect(play(times(50, 0.005))).not.toContain(true);
  });
  it("is on within seconds of losses, and stays while they do", () => {
    const on = play([...times(10, 0), ...times(50, 0.03)]);
    expect(on.indexOf(true)).toBeLessThan(10 + 3);
    expect(on.slice(13)).not.toContain(false);
  });
  it("knows that a loss in the first second is not a lossy path", () => {
    expect(play([...times(1, 0.02), ...times(9, 0)], 30)).not.toContain(true);
  });
  it("goes a while after the losses have", () => {
    const on = play([...times(10, 0.03), ...times(60, 0)]);
    const end = on.lastIndexOf(true) - 10;
    expect(end * 2000).toBeGreaterThanOrEqual(bounds.keep - 2000);
    expect(end * 2000).toBeLessThan(2 * bounds.keep);
  });
  it("does not judge by the few packets of silence", () => {
    expect(play(times(20, 0.2), 5)).not.toContain(true);
  });
  it("takes counters that begin anew for nothing", () => {
    const before = redundancy(noRedundancy, { sent: 1000, missed: 0 }, 0);
    const after = redundancy(before, { sent: 500, missed: 400 }, 2000);
    expect(after.on).toBe(false);
  });
});
