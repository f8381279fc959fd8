import { describe, expect, it } from "vitest";
import { isDead, lookMS, type Reading, silentMS, type Watched, watchPath } from "./pathwatch.ts";

/** Readings every look, from what was received and sent by then. */
function run(readings: [bytesIn: number, sent: number][]): { watched: Watched; last: Reading } {
  let watched: Watched | undefined;
  let last: Reading = { at: 0, bytesIn: 0, sent: 0 };
  for (const [i, [bytesIn, sent]] of readings.entries()) {
    last = { at: i * lookMS, bytesIn, sent };
    watched = watchPath(watched, last);
  }
  return { watched: watched as Watched, last };
}

const lively: [number, number][] = Array.from({ length: 8 }, (_, i) => [i * 100, i * 10]);
const silence = (sentMore: number, looks = silentMS / lookMS): [number, number][] =>
  Array.from({ length: looks }, (_, i) => [700, 70 + (i + 1) * sentMore]);

describe("a media path", () => {
  it("is dead when we send and nothing comes back", () => {
    const { watched, last } = run([...lively, ...silence(10)]);
    expect(isDead(watched, last, last.at)).toBe(true);
  });
  it("is not dead a moment earlier", () => {
    const { watched, last } = run([...lively, ...silence(10, silentMS / lookMS - 1)]);
    expect(isDead(watched, last, last.at)).toBe(false);
  });
  it("may be silent when we send nothing: everybody is muted", () => {
    const { watched, last } = run([...lively, ...silence(0, 40)]);
    expect(isDead(watched, last, last.at)).toBe(false);
  });
  it("is not to blame while the control channel is silent too: then it is the network", () => {
    const { watched, last } = run([...lively, ...silence(10, 40)]);
    expect(isDead(watched, last, watched.heardAt + 100)).toBe(false);
  });
  it("is not judged before it has lived", () => {
    const { watched, last } = run([...lively.slice(0, 2), ...silence(10).map(([, s]): [number, number] => [100, s])]);
    expect(isDead(watched, last, last.at)).toBe(false);
  });
  it("is not judged by a machine that slept", () => {
    const { watched } = run(lively);
    const awake: Reading = { at: watched.at + 60_000, bytesIn: watched.bytesIn, sent: watched.sentThen + 100 };
    expect(isDead(watchPath(watched, awake), awake, awake.at)).toBe(false);
  });
  it("is given longer where little comes: one lost report is no death", () => {
    const seldom: [number, number][] = Array.from({ length: 24 }, (_, i) => [Math.floor(i / 4) * 100, i * 10]);
    const quiet = (looks: number) => Array.from({ length: looks }, (_, i): [number, number] => [500, 240 + i * 10]);
    const early = run([...seldom, ...quiet(8)]);
    expect(isDead(early.watched, early.last, early.last.at)).toBe(false);
    const late = run([...seldom, ...quiet(15)]);
    expect(isDead(late.watched, late.last, late.last.at)).toBe(true);
  });
  it("begins anew with new counters", () => {
    expect(
      watchPath({ at: 0, heardAt: 0, bytesIn: 900, sentThen: 5, gap: 250, lively: 9 }, { at: 10, bytesIn: 3, sent: 6 }),
    ).toEqual({
      at: 10,
      heardAt: 10,
      bytesIn: 3,
      sentThen: 6,
      gap: 0,
      lively: 0,
    });
  });
});
