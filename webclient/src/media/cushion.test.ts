import { describe, expect, it } from "vitest";
import { type Arrivals, cushion, measures, noCushion, rounds } from "./cushion.ts";

describe("rounds", () => {
  it.each([
    [0, 0],
    [0.001, 0],
    [0.005, 1],
    [0.01, 1],
    [0.03, 2],
    [0.1, 3],
    [0.5, 3],
  ])("a loss of %d takes %i", (loss, want) => expect(rounds(loss)).toBe(want));
});

/** Reads the counters twice a second, 100 packets each time, of which a share is asked for again. */
function play(shares: number[], rttMS = 100) {
  let state = noCushion;
  const sum: Arrivals = { received: 0, lost: 0, nacks: 0 };
  const held: number[] = [];
  shares.forEach((share, i) => {
    sum.received += 100;
    sum.nacks += 100 * share;
    state = cushion(state, { ...sum }, rttMS, i * 500);
    held.push(state.ms);
  });
  return held;
}

const times = (n: number, share: number): number[] => Array<number>(n).fill(share);

describe("cushion", () => {
  it("holds nothing back where nothing is lost", () => {
    expect(play(times(40, 0)).every((ms) => ms === 0)).toBe(true);
  });
  it("leaves room for as many rounds as the loss takes, at once", () => {
    expect(play(times(2, 0.03)).at(-1)).toBe(2 * (100 + measures.answer));
    expect(play(times(2, 0.1), 50).at(-1)).toBe(3 * (50 + measures.answer));
  });
  it("is bounded", () => {
    expect(play(times(4, 0.1), 900).at(-1)).toBe(measures.most);
  });
  it("stays for a while when the losses have ended, and goes", () => {
    const held = play([...times(10, 0.03), ...times(100, 0)]);
    const end = held.findIndex((ms, i) => i > 10 && ms === 0);
    expect(end * 500).toBeGreaterThan(10 * 500 + measures.keep - 1000);
    expect(held.slice(10, 40).every((ms) => ms > 0)).toBe(true);
    expect(end).toBeGreaterThan(0);
  });
  it("goes by the round trip of the moment", () => {
    const counted = { received: 1000, lost: 0, nacks: 100 };
    let state = cushion(noCushion, counted, 100, 0);
    expect(state.ms).toBe(3 * (100 + measures.answer)); // of a queue that was full
    for (let i = 1; i <= 15; i++) state = cushion(state, counted, 25, i * 500);
    expect(state.ms).toBe(3 * (25 + measures.answer));
    state = cushion(state, counted, 60, 8000);
    expect(state.ms).toBe(3 * (60 + measures.answer));
  });
  it("takes counters that begin anew for nothing", () => {
    const before = cushion(noCushion, { received: 1000, lost: 0, nacks: 0 }, 100, 0);
    const after = cushion(before, { received: 10, lost: 9, nacks: 9 }, 100, 500);
    expect(after.ms).toBe(0);
  });
});
