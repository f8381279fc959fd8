import { describe, expect, it } from "vitest";
import { type Channel, judge, lookMS, type Reading, silence, type Watched, watchPath } from "./pathwatch.ts";

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

/** So many looks, rounded up, are in a time. */
const looks = (ms: number) => Math.ceil(ms / lookMS);
const lively: [number, number][] = Array.from({ length: 8 }, (_, i) => [i * 100, i * 10]);
const quiet = (sentMore: number, count = looks(silence.cut)): [number, number][] =>
  Array.from({ length: count }, (_, i) => [700, 70 + (i + 1) * sentMore]);

/** A channel that answers, and one from which nothing has come for so long. */
const answers = (last: Reading): Channel => ({ heardAt: last.at, waitingSince: 0, refused: false, rtt: 20 });
const silentFor = (ms: number, last: Reading, rtt = 20): Channel => ({
  heardAt: last.at - ms - 50,
  waitingSince: last.at - ms,
  refused: false,
  rtt,
});

describe("a session", () => {
  it("is well while something comes", () => {
    const { watched, last } = run(lively);
    expect(judge(watched, last, answers(last))).toBe("well");
    expect(judge(watched, last, silentFor(4000, last))).toBe("well"); // the channel may break: media goes on
  });
  it("is doubted after a short silence", () => {
    const { watched, last } = run([...lively, ...quiet(10, looks(silence.doubt))]);
    expect(judge(watched, last, answers(last))).toBe("doubt");
  });
  it("has a dead router when neither media nor the channel brings anything", () => {
    const { watched, last } = run([...lively, ...quiet(10, looks(silence.dead))]);
    expect(judge(watched, last, silentFor(silence.dead, last))).toBe("dead");
    expect(judge(watched, last, silentFor(silence.dead - 100, last))).toBe("doubt");
  });
  it("has a dead router sooner when that refuses the channel", () => {
    const short = run([...lively, ...quiet(10, looks(silence.refused))]);
    expect(judge(short.watched, short.last, { ...silentFor(100, short.last), refused: true })).toBe("dead");
    expect(judge(short.watched, short.last, silentFor(100, short.last))).toBe("doubt");
    const { watched, last } = run(lively);
    expect(judge(watched, last, { ...silentFor(100, last), refused: true })).toBe("well"); // only the channel is blocked
  });
  it("has a dead router also when everybody is muted", () => {
    const { watched, last } = run([...lively, ...quiet(0, 40)]);
    expect(judge(watched, last, silentFor(silence.dead, last))).toBe("dead");
    expect(judge(watched, last, answers(last))).toBe("doubt");
  });
  it("is given longer where the way is long", () => {
    const { watched, last } = run([...lively, ...quiet(10, looks(silence.dead))]);
    expect(judge(watched, last, silentFor(silence.dead, last, 300))).toBe("doubt");
    expect(judge(watched, last, silentFor(900, last, 300))).toBe("dead");
  });
});

describe("a media path", () => {
  it("is cut when we send, nothing comes back, and the channel lives", () => {
    const { watched, last } = run([...lively, ...quiet(10)]);
    expect(judge(watched, last, answers(last))).toBe("cut");
  });
  it("is not cut a moment earlier", () => {
    const { watched, last } = run([...lively, ...quiet(10, looks(silence.cut) - 1)]);
    expect(judge(watched, last, answers(last))).toBe("doubt");
  });
  it("may be silent when we send nothing", () => {
    const { watched, last } = run([...lively, ...quiet(0, 40)]);
    expect(judge(watched, last, answers(last))).toBe("doubt");
  });
  it("is not judged before it has lived", () => {
    const { watched, last } = run([...lively.slice(0, 2), ...quiet(10).map(([, s]): [number, number] => [100, s])]);
    expect(judge(watched, last, answers(last))).toBe("doubt");
  });
  it("is not judged by a machine that slept", () => {
    const { watched } = run(lively);
    const awake: Reading = { at: watched.at + 60_000, bytesIn: watched.bytesIn, sent: watched.sentThen + 100 };
    expect(judge(watchPath(watched, awake), awake, silentFor(59_000, awake))).toBe("well");
  });
  it("is given longer where little comes: one lost report is no death", () => {
    const seldom: [number, number][] = Array.from({ length: 24 }, (_, i) => [Math.floor(i / 4) * 100, i * 10]);
    const then = (count: number) => Array.from({ length: count }, (_, i): [number, number] => [500, 240 + i * 10]);
    const early = run([...seldom, ...then(7)]);
    expect(judge(early.watched, early.last, answers(early.last))).toBe("doubt");
    const late = run([...seldom, ...then(15)]);
    expect(judge(late.watched, late.last, answers(late.last))).toBe("cut");
  });
  it("begins anew with new counters", () => {
    expect(
      watchPath({ at: 0, heardAt: 0, bytesIn: 900, sentThen: 5, gap: 250, lively: 9 }, { at: 10, bytesIn: 3, sent: 6 }),
    ).toEqual({ at: 10, heardAt: 10, bytesIn: 3, sentThen: 6, gap: 0, lively: 0 });
  });
});
