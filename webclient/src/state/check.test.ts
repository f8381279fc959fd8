import { describe, expect, it } from "vitest";
import { candidates, clock, judgeRungs } from "./check.ts";

describe("clock", () => {
  const at = Date.parse("2026-03-14T09:00:00Z");
  const date = "Sat, 14 Mar 2026 09:00:00 GMT";
  it("is right", () => expect(clock(date, at + 400, at + 600)).toEqual({ verdict: "ok", detail: "0.0 s" }));
  it("is fast", () => expect(clock(date, at + 60_500, at + 60_500)).toEqual({ verdict: "failed", detail: "+60.0 s" }));
  it("is slow", () => expect(clock(date, at - 60_000, at - 59_000)).toMatchObject({ verdict: "failed" }));
  it("is not known without the header", () => expect(clock(null, at, at).verdict).toBe("unknown"));
});

describe("candidates", () => {
  it.each([
    [["udp", "UDP", "tcp"], "ok", "local candidates: tcp, udp"],
    [["tcp"], "warning", "local candidates: tcp"],
    [[], "failed", "no local candidates: WebRTC is held back"],
  ] as const)("%j", (found, verdict, detail) => expect(candidates(found)).toEqual({ verdict, detail }));
});

describe("the rungs of media", () => {
  const tried = (udp: boolean, tcp: boolean, tls: boolean) =>
    judgeRungs([
      { rung: "udp", ok: udp, detail: "" },
      { rung: "tcp", ok: tcp, detail: "" },
      { rung: "tls", ok: tls, detail: "" },
    ]).map((line) => `${line.name} ${line.verdict}`);
  it("are judged together: what fails matters less while another works", () => {
    expect(tried(true, true, true)).toEqual(["udp ok", "tcp ok", "tls ok"]);
    expect(tried(true, false, false)).toEqual(["udp ok", "tcp warning", "tls warning"]);
    expect(tried(false, false, true)).toEqual(["udp warning", "tcp warning", "tls ok"]);
    expect(tried(false, false, false)).toEqual(["udp failed", "tcp failed", "tls failed"]);
  });
});
