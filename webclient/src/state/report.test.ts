import { beforeEach, describe, expect, it } from "vitest";
import type { JoinAnswer } from "../protocol/messages.ts";
import { problem } from "../protocol/problems.ts";
import { Recorder } from "./report.ts";

let now = 0;
let recorder: Recorder;
beforeEach(() => {
  now = 1000;
  recorder = new Recorder("123456789", () => now);
});
const answer: JoinAnswer = { zone: "z", controller: "c", mmr: "m", session: "s", control_url: "", answers: {} };
const attempt = {
  target: "t",
  transport: "https",
  via: "direct",
  connect_ms: 0,
  tls_ms: 0,
  rtt_ms: 5,
  jitter_ms: 0,
  ok: true,
};
const run = (name: "lookup" | "zone" | "mmr" | "media", ms: number) => {
  const phase = recorder.begin(name);
  now += ms;
  phase.attempt(attempt);
  phase.done();
};

describe("Recorder", () => {
  it("tells the phases in order with their times", () => {
    run("lookup", 30);
    run("zone", 20);
    run("mmr", 15);
    run("media", 40);
    recorder.participant("p");
    recorder.admitted(answer);
    const report = recorder.report();
    expect(report).toMatchObject({
      ok: true,
      meeting: "123456789",
      participant: "p",
      zone: "z",
      controller: "c",
      mmr: "m",
    });
    expect(report.phases.map((p) => [p.name, p.started_ms, p.duration_ms])).toEqual([
      ["lookup", 0, 30],
      ["zone", 30, 20],
      ["mmr", 50, 15],
      ["media", 65, 40],
    ]);
  });
  it("does not count the time that somebody waited in the lobby", () => {
    run("lookup", 30);
    recorder.pause();
    now += 600_000;
    recorder.resume();
    run("mmr", 10);
    expect(recorder.report().phases[1]?.started_ms).toBe(30);
    expect(recorder.now()).toBe(40);
  });
  it("is not ok while a phase is missing or has failed", () => {
    run("lookup", 1);
    run("zone", 1);
    run("mmr", 1);
    expect(recorder.report().ok).toBe(false);
    recorder.begin("media").fail(problem("media_failed", "no answer"));
    const report = recorder.report();
    expect(report.ok).toBe(false);
    expect(report.phases[3]?.error).toMatchObject({ code: "media_failed", detail: "no answer" });
  });
  it("a phase that is done again takes the place of its failure", () => {
    recorder.begin("lookup").fail(problem("wrong_passcode"));
    run("lookup", 5);
    expect(recorder.report().phases).toHaveLength(1);
    expect(recorder.report().phases[0]?.ok).toBe(true);
  });
  it("keeps the time of the first packet", () => {
    const seen = {
      transport: "udp" as const,
      remote: "192.0.2.1:8801",
      packets_sent: 1,
      packets_received: 0,
      packets_lost: 0,
    };
    now += 80;
    recorder.flows("audio");
    recorder.media("audio", seen);
    now += 500;
    recorder.flows("audio");
    recorder.flows("video");
    recorder.media("audio", { ...seen, packets_received: 9 });
    const report = recorder.report();
    expect(report.first_media_ms).toBe(80);
    expect(report.media.audio).toMatchObject({ first_packet_ms: 80, packets_received: 9, dscp: 46 });
  });
  it("keeps only the latest events", () => {
    for (let i = 0; i < 500; i++) recorder.event(`event ${i}`);
    const { events } = recorder.report();
    expect(events).toHaveLength(200);
    expect(events.at(-1)?.what).toBe("event 499");
  });
  it("gives copies away", () => {
    recorder.report().events.push({ at_ms: 0, what: "forged" });
    expect(recorder.report().events).toEqual([]);
  });
});
