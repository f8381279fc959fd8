import { describe, expect, it } from "vitest";
import { limits, playoutDelay, rtpDistance, type Steering, steer, targets, unsteered } from "./sync.ts";

describe("rtpDistance", () => {
  it.each([
    [0, 1, 1],
    [1, 0, -1],
    [0xffffffff, 0, 1],
    [0, 0xffffffff, -1],
    [0xfffffff0, 0x10, 0x20],
    [0x7fffffff, 0x80000000, 1],
    [0x80000000, 0x7fffffff, -1],
  ])("from %i to %i is %i", (from, to, want) => expect(rtpDistance(from, to)).toBe(want));
});

describe("playoutDelay", () => {
  const slot = { slot: "v1", rtp: 0xffffff00, clock_rate: 90_000, at_ms: 5000 };
  it("is the play-out time less the capture time", () => {
    expect(playoutDelay({ rtpTimestamp: 0xffffff00, timestamp: 5120 }, slot)).toBe(120);
  });
  it("goes on over the wrap of the RTP timestamp", () => {
    const rtpTimestamp = (0xffffff00 + 90_000) % 2 ** 32; // one second on
    expect(playoutDelay({ rtpTimestamp, timestamp: 6120 }, slot)).toBeCloseTo(120);
  });
  it("reads timestamps from before the mapping", () => {
    expect(playoutDelay({ rtpTimestamp: 0xffffff00 - 9000, timestamp: 5020 }, slot)).toBeCloseTo(120);
  });
});

/** A receiver pair whose natural delays are fixed and whose buffers obey their targets. */
function world(audio: number, video: number) {
  const buffers = { audio: 60, video: 40 };
  return (s: Steering) => {
    const t = targets(s);
    const held = { audio: Math.max(buffers.audio, t.audio ?? 0), video: Math.max(buffers.video, t.video ?? 0) };
    const skew = video + held.video - buffers.video - (audio + held.audio - buffers.audio);
    return { skew, held };
  };
}

function run(measure: ReturnType<typeof world>, steps: number): { state: Steering; skew: number } {
  let state = unsteered;
  for (let i = 0; i < steps; i++) {
    const { skew, held } = measure(state);
    state = steer(state, skew, held);
  }
  return { state, skew: measure(state).skew };
}

describe("steer", () => {
  it("leaves alone what is together", () => {
    const { state } = run(world(100, 108), 50);
    expect(targets(state)).toEqual({ audio: null, video: null });
  });
  it.each([
    ["sound 200 ms early", 50, 250],
    ["picture 200 ms early", 250, 50],
    ["sound 60 ms early", 100, 160],
    ["picture 350 ms early", 400, 50],
  ])("brings together %s", (_, audio, video) => {
    const { skew } = run(world(audio, video), 40);
    expect(Math.abs(skew)).toBeLessThanOrEqual(limits.deadband + 5);
  });
  it("holds back one of the two, never both", () => {
    const { state } = run(world(50, 250), 40);
    expect(targets(state).audio).toBeGreaterThan(0);
    expect(targets(state).video).toBeNull();
  });
  it("moves in bounded steps, once past what the buffer holds anyway", () => {
    let state = unsteered;
    let before = 0;
    for (let i = 0; i < 20; i++) {
      state = steer(state, 2000, { audio: 60, video: 40 });
      const grown = state.hold - before;
      if (before >= 60) expect(grown).toBeLessThanOrEqual(limits.step);
      before = state.hold;
    }
  });
  it("never holds back more than its limit", () => {
    let state = unsteered;
    for (let i = 0; i < 200; i++) state = steer(state, 900, { audio: 60, video: 40 });
    expect(targets(state).audio).toBe(limits.hold);
    for (let i = 0; i < 400; i++) state = steer(state, -900, { audio: 60, video: 40 });
    expect(targets(state).video).toBe(limits.hold);
  });
  it("lets go when the cause has gone", () => {
    let { state } = run(world(50, 250), 40);
    const calm = world(100, 100);
    for (let i = 0; i < 60; i++) {
      const { skew, held } = calm(state);
      state = steer(state, skew, held);
    }
    expect(Math.abs(calm(state).skew)).toBeLessThanOrEqual(limits.deadband + 5);
  });
  it("ignores what cannot be", () => {
    const before = { skew: 20, hold: 10, samples: 9 };
    expect(steer(before, Number.NaN, { audio: 0, video: 0 })).toBe(before);
    expect(steer(before, limits.absurd + 1, { audio: 0, video: 0 })).toBe(before);
  });
  it("waits for a few samples before it touches anything", () => {
    expect(steer(unsteered, 300, { audio: 0, video: 0 }).hold).toBe(0);
  });
});
