import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Code, JoinAnswer, Package, Problem } from "../protocol/messages.ts";
import { problem } from "../protocol/problems.ts";
import { type Admission, admit, type Target, targets } from "./admission.ts";
import type { ProbeRecord } from "./choose.ts";
import { Recorder } from "./report.ts";
import { direct } from "./way.ts";

const zone = (id: string, ...controllers: string[]) => ({
  id,
  name: id,
  weight: 0,
  load: 0,
  distance_km: 0,
  controllers: controllers.map((c) => ({ id: c, url: `https://${c}` })),
});
const tpe = zone("tpe", "t1", "t2");
const fra = zone("fra", "f1");
const pkg = { zones: [tpe, fra] } as unknown as Package;
const all = targets([], pkg);

/** What each controller does: answer, refuse with a code, or keep silent; after so many ms. */
let plays: Record<string, { after?: number; code?: Code; silent?: boolean }>;
let asked: { host: string; at: number }[];
let began: number;

beforeEach(() => {
  vi.useFakeTimers();
  began = performance.now();
  asked = [];
  plays = {};
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    const { host } = new URL(url);
    asked.push({ host, at: performance.now() - began });
    const { after = 10, code, silent } = plays[host] ?? {};
    return new Promise((resolve, reject) => {
      init.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      if (silent) return;
      const answer = { mmr: host } as JoinAnswer;
      const refusal: Problem | null = code ? problem(code) : null;
      const body = JSON.stringify(refusal ?? answer);
      setTimeout(() => resolve(new Response(body, { status: refusal?.status ?? 200 })), after);
    });
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function ask(to: readonly Target[] = all, staggerMS = 250): Promise<string> {
  const admission: Admission = {
    request: { offers: {} },
    token: "t",
    way: direct,
    recorder: new Recorder("1"),
    signal: new AbortController().signal,
    staggerMS,
  };
  const done = admit(to, admission).then(
    ({ answer }) => answer.mmr,
    (error: { problem: Problem }) => error.problem.code,
  );
  await vi.advanceTimersByTimeAsync(10_000);
  return done;
}

describe("admission", () => {
  it("asks the best alone when it answers", async () => {
    expect(await ask()).toBe("t1");
    expect(asked.map((a) => a.host)).toEqual(["t1"]);
  });
  it("asks the next beside a silent one, and so on", async () => {
    plays = { t1: { silent: true }, t2: { silent: true } };
    expect(await ask()).toBe("f1");
    expect(asked).toEqual([
      { host: "t1", at: 0 },
      { host: "t2", at: 250 },
      { host: "f1", at: 500 },
    ]);
  });
  it("takes whoever admits first, also one that was asked earlier", async () => {
    plays = { t1: { after: 300 }, t2: { after: 400 } };
    expect(await ask()).toBe("t1");
  });
  it("asks the next at once when one refuses", async () => {
    plays = { t1: { code: "mmr_unavailable" } };
    expect(await ask()).toBe("t2");
    expect(asked[1]?.at).toBe(10);
  });
  it("goes to the next zone at once when one is full", async () => {
    plays = { t1: { code: "zone_full" } };
    expect(await ask()).toBe("f1");
    expect(asked.map((a) => a.host)).toEqual(["t1", "f1"]);
  });
  it("tells why the best zone refused when all do", async () => {
    plays = { t1: { code: "mmr_unavailable" }, t2: { code: "zone_full" }, f1: { code: "zone_full" } };
    expect(await ask()).toBe("mmr_unavailable");
    plays = { t1: { silent: true }, t2: { code: "zone_full" }, f1: { code: "zone_full" } };
    expect(await ask(all.slice(1))).toBe("zone_full");
  });
  it("ends at a refusal that holds everywhere", async () => {
    plays = { t1: { code: "meeting_ended" } };
    expect(await ask()).toBe("meeting_ended");
    expect(asked).toHaveLength(1);
  });
  it("says that there is no zone when there is none", async () => {
    expect(await ask([])).toBe("no_zone");
  });
});

it("controllers that never answered are asked last", () => {
  const ranked = [{ zone: fra, controller: fra.controllers[0] }] as ProbeRecord[];
  expect(targets(ranked, pkg).map((t) => t.controller.id)).toEqual(["f1", "t1", "t2"]);
});
