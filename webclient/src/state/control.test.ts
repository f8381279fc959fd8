import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import golden from "../../../protocol/testdata/from_client.json";
import type { FromClient, FromRouter } from "../protocol/messages.ts";
import { problem } from "../protocol/problems.ts";
import { backoff, climbWait, fates, hopeless } from "./comeback.ts";
import { Control, decode } from "./control.ts";

/** A WebSocket whose other end is the test. */
class Socket extends EventTarget {
  static last: Socket;
  static readonly OPEN = 1;
  readyState = 0;
  readonly sent: FromClient[] = [];
  constructor(readonly url: string) {
    super();
    Socket.last = this;
  }
  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }
  say(message: unknown) {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  drop() {
    this.dispatchEvent(new Event("close"));
  }
}

const welcome = { type: "welcome", meeting: {}, participant: "me", participants: [], slots: [], chat: [], now_ms: 0 };
let life: AbortController;
let received: FromRouter[];
beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Socket);
  life = new AbortController();
  received = [];
});
afterEach(() => {
  life.abort();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const open = () => {
  const hello = { session: "s", token: "t" };
  const first: FromClient[] = [{ type: "set_state", audio_muted: true }];
  return Control.open("wss://router/mmr/v1/control", hello, first, (m) => received.push(m), life.signal, 3000);
};
async function opened(): Promise<Control> {
  const opening = open();
  Socket.last.open();
  Socket.last.say(welcome);
  return opening;
}

describe("Control", () => {
  it("says hello first and passes the welcome on", async () => {
    await opened();
    expect(Socket.last.sent.map((m) => m.type)).toEqual(["hello", "set_state"]);
    expect(received.map((m) => m.type)).toEqual(["welcome"]);
  });
  it("puts a long welcome together", async () => {
    const opening = open();
    Socket.last.open();
    const [first, second, later] = [{ id: "p1" }, { id: "p2" }, { id: "p3" }];
    Socket.last.say({ ...welcome, participants: [first], parts: 2 });
    Socket.last.say({ type: "roster", changed: [second] });
    expect(received).toEqual([]);
    Socket.last.say({ type: "roster", changed: [later] });
    await opening;
    expect(received).toMatchObject([{ type: "welcome", parts: 0, participants: [first, second, later] }]);
  });
  it("fails when there is no welcome in time", async () => {
    const failed = open().catch((e: { problem: { code: string } }) => e.problem.code);
    Socket.last.open();
    await vi.advanceTimersByTimeAsync(3000);
    expect(await failed).toBe("control_failed");
  });
  it("fails with the router's own words when it refuses", async () => {
    const failed = open().catch((e: { problem: { code: string } }) => e.problem.code);
    Socket.last.open();
    Socket.last.say({ type: "refusal", problem: problem("session_unknown"), fatal: true });
    expect(await failed).toBe("session_unknown");
  });
  it("pings while it is quiet, and measures the way", async () => {
    const control = await opened();
    await vi.advanceTimersByTimeAsync(2000);
    expect(Socket.last.sent.at(-1)).toEqual({ type: "ping", n: 1 });
    await vi.advanceTimersByTimeAsync(40);
    Socket.last.say({ type: "pong", n: 1, now_ms: 1 });
    expect(control.rtt).toBeCloseTo(40, 0);
  });
  it("is nudged for a sign of life, but not all the time", async () => {
    const control = await opened();
    await vi.advanceTimersByTimeAsync(1000);
    for (let i = 0; i < 6; i++) {
      control.nudge();
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(Socket.last.sent.filter((m) => m.type === "ping")).toHaveLength(2);
    expect(performance.now() - control.askedAt).toBeCloseTo(600, 0); // since the first of them
    Socket.last.say({ type: "speakers", speakers: [] });
    expect(control.askedAt).toBe(0); // any message is a sign of life
  });
  it("counts as lost when pings stay unanswered", async () => {
    const control = await opened();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await control.ended).toEqual({ why: "lost" });
  });
  it("stays while anything at all is heard", async () => {
    const control = await opened();
    let over = false;
    void control.ended.then(() => {
      over = true;
    });
    for (let i = 0; i < 20; i++) {
      await vi.advanceTimersByTimeAsync(3000);
      Socket.last.say({ type: "speakers", speakers: [] });
    }
    expect(over).toBe(false);
  });
  it("tells the farewell, not the closing after it", async () => {
    const control = await opened();
    Socket.last.say({ type: "farewell", reason: "ended", by: "ann" });
    Socket.last.drop();
    expect(await control.ended).toEqual({ why: "farewell", message: { type: "farewell", reason: "ended", by: "ann" } });
  });
  it("drops what it can no longer send", async () => {
    const control = await opened();
    control.close();
    control.send({ type: "leave" });
    expect(Socket.last.sent.some((m) => m.type === "leave")).toBe(false);
  });
});

it("the golden messages are what this client may send", () => {
  const messages = golden as FromClient[];
  expect(messages.map((m) => m.type)).toEqual([
    "hello",
    "soon",
    "enter",
    "set_state",
    "send_chat",
    "want",
    "restart",
    "host",
    "leave",
    "ping",
  ]);
});

it.each(["", "null", "7", "[]", "{}", '{"type":"new_thing"}', '{"type":7}', "{"])("decode ignores %s", (text) => {
  expect(decode(text)).toBeNull();
});

describe("coming back", () => {
  it("tries at once, then ever more slowly, up to 8 s or so", () => {
    expect([0, 1, 2, 3].map((n) => backoff(n, 0.5))).toEqual([0, 300, 600, 1200]);
    expect(backoff(50, 1)).toBe(10_000);
  });
  it.each([
    [{ why: "lost" }, "again"],
    [{ why: "closed" }, "again"],
    [{ why: "farewell", message: { type: "farewell", reason: "lost" } }, "gone"],
    [{ why: "farewell", message: { type: "farewell", reason: "moved" } }, "gone"],
    [{ why: "farewell", message: { type: "farewell", reason: "removed" } }, "over"],
    [{ why: "farewell", message: { type: "farewell", reason: "resumed" } }, "over"],
    [{ why: "refused", message: { type: "refusal", problem: problem("session_unknown") } }, "gone"],
    [{ why: "refused", message: { type: "refusal", problem: problem("token_expired") } }, "gone"],
    [{ why: "refused", message: { type: "refusal", problem: problem("token_invalid") } }, "over"],
  ] as const)("%j: the session is %s", (ending, want) => expect(fates(ending)).toBe(want));
  it("gives up only where there is no meeting to come back to", () => {
    expect(hopeless("meeting_ended")).toBe(true);
    for (const code of ["zone_full", "zones_unreachable", "token_expired", "internal"] as const)
      expect(hopeless(code)).toBe(false);
  });
  it("looks for a better rung after 15 s, then ever more seldom, up to 5 minutes", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map(climbWait)).toEqual([15e3, 30e3, 60e3, 120e3, 240e3, 300e3, 300e3]);
  });
});
