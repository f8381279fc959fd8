import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ProblemError } from "../protocol/problems.ts";
import { direct } from "./way.ts";
import { findZones, type Probe, Survey } from "./zones.ts";

const zone = (id: string, ...urls: string[]) => ({
  id,
  name: id,
  weight: 0,
  load: 0,
  distance_km: -1,
  controllers: urls.map((url, i) => ({ id: `${id}-${i + 1}`, url })),
});

/** Probes are sent to the controllers' own addresses here. */
const plain = { ...direct, probe: (controller: string) => controller };

/** Answers after so many ms of each address; -1 fails at once, Infinity never answers. */
function network(delays: Record<string, number>): { probe: Probe; asked: string[] } {
  const asked: string[] = [];
  const probe: Probe = (url, signal) => {
    asked.push(url);
    const ms = delays[url] ?? -1;
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      if (ms < 0) return reject(new Error("connection refused"));
      if (!Number.isFinite(ms)) return;
      const answer = { zone: "", controller: "", state: "open" as const, load: 0, weight: 0 };
      setTimeout(() => resolve({ rttMS: ms, dnsMS: 1, connectMS: 2, tlsMS: 3, answer }), ms);
    });
  };
  return { probe, asked };
}

let life: AbortController;
beforeEach(() => {
  vi.useFakeTimers();
  life = new AbortController();
});
afterEach(() => {
  life.abort();
  vi.useRealTimers();
});

describe("Survey", () => {
  it("asks every controller of every zone at once", () => {
    const { probe, asked } = network({});
    new Survey([zone("a", "https://a1", "https://a2"), zone("b", "https://b1")], "", life.signal, plain, probe);
    expect(asked).toEqual(["https://a1", "https://a2", "https://b1"]);
  });
  it("chooses the nearest without waiting for the slow one to finish", async () => {
    const { probe } = network({ "https://near": 20, "https://far": 2000 });
    const survey = new Survey(
      [zone("far", "https://far"), zone("near", "https://near")],
      "",
      life.signal,
      plain,
      probe,
    );
    const began = Date.now();
    await vi.advanceTimersByTimeAsync(200);
    const ranked = await survey.ready;
    expect(ranked[0]?.zone.id).toBe("near");
    expect(Date.now() - began).toBe(200);
  });
  it("goes on refining after the choice", async () => {
    const { probe } = network({ "https://a1": 10 });
    const survey = new Survey([zone("a", "https://a1")], "", life.signal, plain, probe);
    await vi.advanceTimersByTimeAsync(10);
    await survey.ready;
    await vi.advanceTimersByTimeAsync(100);
    expect(survey.attempts()[0]).toMatchObject({
      ok: true,
      dns_ms: 1,
      connect_ms: 2,
      tls_ms: 3,
      rtt_ms: 10,
      rtt_min_ms: 10,
    });
    expect(survey.records[0]?.rtts).toHaveLength(5);
  });
  it("fails at once when everything failed for certain, saying why", async () => {
    const { probe } = network({});
    const survey = new Survey([zone("a", "https://a1")], "", life.signal, plain, probe);
    const error = await survey.ready.catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ProblemError);
    expect((error as ProblemError).problem).toMatchObject({
      code: "zones_unreachable",
      detail: "a1: connection refused",
    });
  });
  it("gives up after 5.5 s of silence", async () => {
    const { probe } = network({ "https://a1": Number.POSITIVE_INFINITY });
    const survey = new Survey([zone("a", "https://a1")], "", life.signal, plain, probe);
    const failed = survey.ready.catch((e: ProblemError) => e.problem.code);
    await vi.advanceTimersByTimeAsync(5499);
    const early = await Promise.race([failed, Promise.resolve("waiting")]);
    expect(early).toBe("waiting");
    await vi.advanceTimersByTimeAsync(2);
    expect(await failed).toBe("zones_unreachable");
  });
  it("says that there is no zone when there is none", async () => {
    const survey = new Survey([], "", life.signal, plain, network({}).probe);
    expect(await survey.ready.catch((e: ProblemError) => e.problem.code)).toBe("no_zone");
  });
  it("keeps the connections warm, and stops when it is over", async () => {
    const { probe, asked } = network({ "https://a1": 1 });
    new Survey([zone("a", "https://a1")], "", life.signal, plain, probe);
    await vi.advanceTimersByTimeAsync(1000);
    const before = asked.length;
    await vi.advanceTimersByTimeAsync(12_000);
    expect(asked.length).toBe(before + 1);
    life.abort();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked.length).toBe(before + 1);
  });
});

describe("findZones", () => {
  const pkg = (gateway?: string) => ({
    meeting: { id: "", number: "", topic: "" },
    participant: { id: "", name: "", role: "participant" as const },
    token: "",
    token_expires_at: "",
    zones: [zone("a", "https://a1")],
    tunnels: [],
    web_client: "",
    seen: { address: "" },
    ...(gateway ? { gateway } : {}),
  });
  const straight = "https://a1/zone/v1/probe";
  const gateway = "https://web/gateway/v1";
  const passed = `${gateway}/probe?controller=https%3A%2F%2Fa1`;
  const find = (p: ReturnType<typeof pkg>, probe: Probe) => {
    const surveys: Survey[] = [];
    return { found: findZones(p, "", life.signal, (s) => surveys.push(s), probe), surveys };
  };

  it("goes straight where it can", async () => {
    const { probe, asked } = network({ [straight]: 10, [passed]: 1 });
    const { found } = find(pkg(gateway), probe);
    await vi.advanceTimersByTimeAsync(100);
    expect((await found).way.route).toBe("direct");
    expect(asked).not.toContain(passed);
  });
  it("takes the gateway at once when everything failed for certain", async () => {
    const { probe } = network({ [passed]: 10 });
    const { found, surveys } = find(pkg(gateway), probe);
    await vi.advanceTimersByTimeAsync(100);
    expect((await found).way.route).toBe("tunnel");
    expect(surveys.flatMap((s) => s.attempts()).map((a) => [a.via, a.ok])).toEqual([
      ["direct", false],
      ["gateway web", true],
    ]);
  });
  it("takes the gateway after 5.5 s of silence", async () => {
    const { probe, asked } = network({ [straight]: Number.POSITIVE_INFINITY, [passed]: 10 });
    const { found } = find(pkg(gateway), probe);
    await vi.advanceTimersByTimeAsync(5499);
    expect(asked).not.toContain(passed);
    await vi.advanceTimersByTimeAsync(200);
    expect((await found).way.route).toBe("tunnel");
  });
  it("tells why nothing answered straight when the gateway does not help either", async () => {
    const { found } = find(pkg(gateway), network({}).probe);
    expect(await found.catch((e: ProblemError) => e.problem)).toMatchObject({
      code: "zones_unreachable",
      detail: "a1: connection refused",
    });
  });
  it("has no gateway where the package names none", async () => {
    const { probe, asked } = network({ [passed]: 10 });
    expect(await find(pkg(), probe).found.catch((e: ProblemError) => e.problem.code)).toBe("zones_unreachable");
    expect(asked).toEqual([straight]);
  });
});
