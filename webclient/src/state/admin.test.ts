import { afterEach, describe, expect, it, vi } from "vitest";
import type { EventKind, SystemStatus } from "../protocol/messages.ts";
import { problem } from "../protocol/problems.ts";
import { type View, watchSystem } from "./admin.ts";

const status = (participants: number): SystemStatus => ({
  at: "2026-03-14T09:00:00Z",
  participants,
  zones: [],
  tunnels: [],
  webs: [],
  meetings: [],
  meeting_count: 0,
});

const event = (id: number) => ({
  id,
  at: "2026-03-14T09:00:00Z",
  event: "appeared" as EventKind,
  kind: "mmr" as const,
  server: `r${id}`,
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A web node that answers with what it is given, one answer to each request. */
function web(answers: (() => Response)[]) {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url);
    const answer = answers.shift();
    if (!answer) throw new TypeError("nobody there");
    return answer();
  });
  return asked;
}

const json = (body: unknown) => () => Response.json(body);
const refusal = (code: "unauthorized" | "rate_limited") => () =>
  Response.json(problem(code), { status: problem(code).status ?? 500 });

describe("watching the system", () => {
  it("asks for the events since the last look, and for all of them after a failure", async () => {
    vi.useFakeTimers();
    const asked = web([
      json(status(1)),
      json({ events: [event(1), event(2)] }),
      json(status(2)),
      json({ events: [event(3)] }),
      refusal("rate_limited"),
      json(status(3)),
      json({ events: [event(9)] }),
    ]);
    const life = new AbortController();
    const views: View[] = [];
    const watching = watchSystem("key", (v) => views.push(v), life.signal);
    await vi.advanceTimersByTimeAsync(5500);
    life.abort();
    await watching;
    expect(views.map((v) => [v.status?.participants, v.events.map((e) => e.id), v.problem?.code])).toEqual([
      [1, [2, 1], undefined],
      [2, [3, 2, 1], undefined],
      [2, [3, 2, 1], "rate_limited"],
      [3, [9], undefined],
    ]);
    expect(asked.filter((url) => url.includes("events")).map((url) => url.match(/after=(\d+)/)?.[1])).toEqual([
      "0",
      "2",
      "0",
    ]);
  });

  it("ends when the key is not taken", async () => {
    web([refusal("unauthorized")]);
    const views: View[] = [];
    await watchSystem("wrong", (v) => views.push(v), new AbortController().signal);
    expect(views.map((v) => v.problem?.code)).toEqual(["unauthorized"]);
  });
});
