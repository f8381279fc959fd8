import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FromRouter } from "../protocol/messages.ts";
import type { Meeting, MeetingStatus } from "./meeting.ts";
import { createWorld, join, type Router, type World } from "./world.testing.ts";

let world: World;
let meeting: Meeting;
let m1: Router;
let m2: Router;
let told: MeetingStatus[];
let began: number;

beforeEach(async () => {
  world = createWorld();
  [m1, m2] = world.routers as [Router, Router];
  meeting = await join();
  expect(meeting.status.get()).toEqual({ state: "live" });
  expect(meeting.report().mmr).toBe("m1");
  told = [];
  meeting.status.subscribe((s) => told.push(s));
  world.joins.length = 0;
  began = performance.now();
});
afterEach(() => {
  meeting.leave();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const open = () => world.peers.filter((p) => p.connectionState !== "closed");
const resumes = () => world.joins.map((j) => j.request.resume);
/** When the first join went out, in ms after what happened. */
const tookMS = () => Math.round((world.joins[0]?.at ?? Number.NaN) - began);

describe("another network", () => {
  it("restarts our side of ICE, of which the router is told, and again when the channel is back", async () => {
    const net = new EventTarget();
    meeting.leave();
    vi.stubGlobal("addEventListener", net.addEventListener.bind(net));
    meeting = await join();
    const restarts = () => m1.told.filter((m) => m.type === "restart");
    expect(restarts()).toEqual([]);
    net.dispatchEvent(new Event("online"));
    await wait(100);
    const connections = ["audio", "video", "content"].map((kind) => ({ kind, ufrag: "u1", pwd: "p1" }));
    expect(restarts().at(-1)).toEqual({ type: "restart", connections });
    m1.sockets.at(-1)?.drop();
    await wait(1000);
    expect(restarts()).toEqual([{ type: "restart", connections }]);
    expect(meeting.report().mmr).toBe("m1");
  });
});

describe("a router that dies", () => {
  it("is noticed within a second, and another one takes over", async () => {
    meeting.publisher.setHand(true);
    m1.kill();
    await wait(1500);
    expect(tookMS()).toBeLessThan(1000);
    expect(resumes()).toEqual([{ session: "s1", zone: "z", mmr: "m1", reason: "dead", admitted: 1, joined_at: "1" }]);
    expect(meeting.report().mmr).toBe("m2");
    expect(m2.told.slice(0, 2)).toMatchObject([
      { type: "hello", token: "token" },
      { type: "set_state", audio_muted: false, hand_raised: true },
    ]);
    expect(m2.told.some((m) => m.type === "want")).toBe(true);
    expect(told).toEqual([]); // over before anybody noticed
    await wait(3000);
    expect(open()).toHaveLength(3); // the dead one's are closed
  });
  it("does not lower a hand: only a host does", async () => {
    const me = (raised: boolean): FromRouter => {
      const rest = { role: "participant", audio_muted: false, video_muted: false, sharing: false, path: "ok" } as const;
      const hand = raised ? { hand_raised_at: "2026-03-14T09:00:00Z" } : {};
      return { type: "roster", changed: [{ id: "me", name: "Me", joined_at: "1", ...rest, ...hand }] };
    };
    meeting.publisher.setHand(true);
    m1.say(me(true));
    m1.kill();
    await wait(1500);
    m2.say(me(false)); // before it has heard of the hand
    expect(meeting.publisher.local.get().handRaised).toBe(true);
    m2.say(me(true));
    m2.say(me(false));
    expect(meeting.publisher.local.get().handRaised).toBe(false);
  });
  it("leaves media for later while the browser does not know its own address", async () => {
    world.noAddress = true;
    m1.kill();
    await wait(2000);
    expect(meeting.report().mmr).toBe("m2");
    world.noAddress = false;
    await wait(2000); // the old session's are closed by then
    expect(open().filter((p) => p.connectionState === "connected")).toHaveLength(3);
    expect(world.joins).toHaveLength(1);
    expect(meeting.report().route).toBe("direct");
  });
  it("is noticed when it is frozen, too", async () => {
    m1.freeze();
    await wait(2000);
    expect(tookMS()).toBeLessThan(1100);
    expect(resumes()[0]).toMatchObject({ mmr: "m1", reason: "dead" });
    expect(meeting.report().mmr).toBe("m2");
  });
  it("is noticed also while everybody is muted", async () => {
    await meeting.publisher.setMicrophone(false);
    await meeting.publisher.setCamera(false);
    m1.silence(); // nothing is sent, nothing comes
    await wait(3000);
    expect(world.joins).toEqual([]);
    began = performance.now();
    m1.freeze();
    await wait(2000);
    expect(tookMS()).toBeLessThan(1100);
    expect(meeting.report().mmr).toBe("m2");
  });
  it("is told only when it takes long, and so is the return", async () => {
    world.zoneDown = true;
    m1.kill();
    await wait(3000);
    expect(told).toEqual([{ state: "reconnecting", what: "media" }]);
    world.zoneDown = false;
    await wait(6000);
    expect(told.at(-1)).toEqual({ state: "live" });
    expect(world.lookups).toBeGreaterThan(0); // what was known did not help: asked again
    expect(meeting.report().mmr).toBe("m2");
  });
  it("may come back by itself: the session goes on", async () => {
    world.zoneDown = true;
    m1.freeze();
    await wait(1500);
    m1.frozen = false;
    m1.silentFrom = Number.POSITIVE_INFINITY;
    await wait(1500);
    world.zoneDown = false;
    await wait(5000);
    expect(meeting.report().mmr).toBe("m1");
    expect(meeting.status.get()).toEqual({ state: "live" });
    expect(open()).toHaveLength(3);
  });
});

describe("what is lost alone", () => {
  it("the control channel: media is not touched, and the channel comes back", async () => {
    m1.sockets.at(-1)?.drop();
    await wait(2000);
    expect(world.joins).toEqual([]);
    expect(open()).toHaveLength(3);
    expect(m1.told[0]).toMatchObject({ type: "hello", session: "s1" });
    expect(told).toEqual([]);
  });
  it("the way to the control channel: by the gateway", async () => {
    m1.deaf = true;
    m1.sockets.at(-1)?.drop();
    await wait(3000);
    expect(m1.sockets.at(-1)?.url).toBe(
      `wss://meet/gateway/v1/control?to=${encodeURIComponent("wss://m1/mmr/v1/control")}`,
    );
    expect(m1.told[0]).toMatchObject({ type: "hello", session: "s1" });
    expect(world.joins).toEqual([]);
  });
  it("all ways to the control channel: told after a while, and media goes on", async () => {
    m1.dead = true; // for new channels; media still comes
    m1.sockets.at(-1)?.drop();
    await wait(5000);
    expect(told).toEqual([{ state: "reconnecting", what: "control" }]);
    expect(world.joins).toEqual([]);
    m1.dead = false;
    await wait(1000);
    expect(told.at(-1)).toEqual({ state: "live" });
  });
  it("the media path: a new session beside the old one, at any router", async () => {
    m1.silence();
    await wait(900);
    expect(world.joins).toHaveLength(1);
    expect(tookMS()).toBeLessThan(1000);
    expect(resumes()[0]?.mmr).toBe(""); // the router is not to blame
  });
});

describe("what is written", () => {
  const said = () => m1.told.filter((m) => m.type === "send_chat").map((m) => m.text);
  const back = (id: string, text: string): FromRouter => ({ type: "chat", id, from: "me", name: "Me", text, at: id });
  const unsent = () => meeting.unsent.get().map((u) => u.text);
  it("waits until it comes back", () => {
    meeting.say("one");
    meeting.say("two");
    expect(unsent()).toEqual(["one", "two"]);
    m1.say(back("1", "one"));
    expect(unsent()).toEqual(["two"]);
    m1.say(back("2", "two"));
    m1.say(back("2", "two"));
    expect(unsent()).toEqual([]);
  });
  it("without a channel is said by the next, once", async () => {
    meeting.say("arrived");
    m1.say(back("1", "arrived"));
    m1.deaf = true;
    m1.sockets.at(-1)?.drop();
    await wait(200);
    meeting.say("away");
    await wait(1000);
    m1.deaf = false;
    await wait(2000);
    expect(said()).toEqual(["away"]);
    m1.say(back("2", "away"));
    expect(unsent()).toEqual([]);
    m1.sockets.at(-1)?.drop();
    await wait(2000);
    expect(said()).toEqual([]);
  });
  it("is not said again when the channel was lost behind it", async () => {
    meeting.say("on the way");
    m1.sockets.at(-1)?.drop();
    await wait(100); // there is another channel, that tells what was said
    meeting.say("since");
    m1.say(back("1", "on the way"));
    await wait(1000);
    expect(said()).toEqual(["since"]);
  });
});

describe("a router that drains", () => {
  const move = () => m1.say({ type: "move", deadline_ms: 10_000, reason: "drain" });
  it("is left for another, with both sessions side by side", async () => {
    move();
    await wait(100);
    expect(resumes()).toEqual([{ session: "s1", zone: "z", mmr: "m1", reason: "drain", admitted: 1, joined_at: "1" }]);
    expect(meeting.report().mmr).toBe("m2");
    expect(open()).toHaveLength(6);
    m1.say({ type: "farewell", reason: "resumed" }); // the new one has taken over
    await wait(1000);
    expect(open()).toHaveLength(6); // others may still take the old one's pictures
    await wait(2500);
    expect(open()).toHaveLength(3);
    expect(told).toEqual([]);
  });
  it("is never heard beside the new one", async () => {
    move();
    for (let i = 0; i < 40; i++) {
      await wait(100);
      expect(world.players.filter((p) => !p.muted && p.srcObject !== null)).toHaveLength(4);
    }
  });
  it("may say farewell before the new session stands for us", async () => {
    move();
    await wait(30);
    m1.say({ type: "farewell", reason: "resumed" });
    await wait(5000);
    expect(meeting.report().mmr).toBe("m2");
    expect(meeting.status.get()).toEqual({ state: "live" });
  });
  it("and has gone before a new one was found: as if it had died", async () => {
    world.zoneDown = true;
    move();
    await wait(1000);
    m1.say({ type: "farewell", reason: "moved" });
    world.zoneDown = false;
    await wait(5000);
    expect(meeting.report().mmr).toBe("m2");
  });
});

describe("the rungs", () => {
  it("are climbed back to UDP, and only UDP is tried for that", async () => {
    world.noUDP = true;
    m1.silence(); // falls
    await wait(4000);
    expect(meeting.stats.get()?.audio.transport).toBe("tcp");
    world.joins.length = 0;
    await wait(20_000);
    expect(world.joins.length).toBeGreaterThan(0); // tried, and not found
    expect(meeting.stats.get()?.audio.transport).toBe("tcp");
    expect(told).toEqual([]);
    const tries = world.joins.length;
    world.noUDP = false;
    await wait(60_000);
    expect(world.joins.length).toBe(tries + 1);
    expect(meeting.stats.get()?.audio.transport).toBe("udp");
    expect(open().every((p) => !p.remote.includes(" tcp "))).toBe(true);
    await wait(300_000);
    expect(world.joins.length).toBe(tries + 1); // there is nothing better
  });
});

describe("the end", () => {
  it("is told when somebody joined as us elsewhere", async () => {
    m1.say({ type: "farewell", reason: "resumed" });
    await wait(100);
    expect(meeting.status.get()).toMatchObject({ state: "over", reason: "resumed" });
    expect(open()).toHaveLength(0);
  });
  it("is told when the meeting has ended meanwhile", async () => {
    m1.say({ type: "farewell", reason: "ended", by: "x" });
    await wait(100);
    expect(meeting.status.get()).toMatchObject({ state: "over", reason: "ended" });
  });
});
