import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FromClient } from "../protocol/messages.ts";
import { Entry, type Ticket } from "./entry.ts";
import type { MeetingLink } from "./link.ts";
import type { Meeting } from "./meeting.ts";
import { createWorld, enter, type Router, type World } from "./world.testing.ts";

let world: World;
let entry: Entry;
let meeting: Meeting | null;
let m1: Router;
let m2: Router;
/** What happens to the page, and whether it can be seen. */
let page: EventTarget;
let visible: "visible" | "hidden";

beforeEach(async () => {
  world = createWorld();
  [page, visible] = [new EventTarget(), "visible"];
  const addEventListener = page.addEventListener.bind(page);
  vi.stubGlobal("addEventListener", addEventListener);
  const seen = { get: () => visible };
  vi.stubGlobal("document", Object.defineProperty({ ...document, addEventListener }, "visibilityState", seen));
  [m1, m2] = world.routers as [Router, Router];
  vi.stubGlobal("RTCRtpTransceiver", { prototype: { setCodecPreferences: () => {} } });
  vi.stubGlobal("RTCRtpSender", { prototype: { replaceTrack: () => {} }, getCapabilities: () => null });
  meeting = null;
  entry = new Entry({ number: "123456789", passcode: "" } as MeetingLink, "");
});
afterEach(() => {
  entry.close();
  meeting?.leave();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const peers = () => world.peers.filter((p) => p.connectionState !== "closed");
const said = (router: Router) => router.told.map((m) => m.type).filter((type) => type !== "ping");
const asked = () => world.joins.map((j) => j.request.standby ?? false);

async function lobby(): Promise<void> {
  void entry.warm("Ann");
  await wait(1000);
  expect(entry.state.get()).toMatchObject({ step: "ready" });
}

async function take(name = "Ann"): Promise<Ticket> {
  const taken = entry.take(name);
  taken.catch(() => {});
  await wait(100);
  return taken;
}

async function pressJoin(name = "Ann"): Promise<void> {
  meeting = await enter(await take(name));
  expect(meeting.status.get()).toEqual({ state: "live" });
  expect(peers()).toHaveLength(3);
  expect(peers().every((p) => p.connectionState === "connected")).toBe(true);
}

describe("in the lobby a session stands by", () => {
  it("with media and channel up, and nothing is said before Join", async () => {
    await lobby();
    expect(asked()).toEqual([true]);
    expect(said(m1)).toEqual(["hello"]);
    expect(peers().map((p) => p.connectionState)).toEqual(["connected", "connected", "connected"]);
  });
  it("and it says when Join seems near, as long as it stands by", async () => {
    entry.soon();
    await lobby();
    entry.soon();
    expect(said(m1)).toEqual(["hello", "soon"]);
    await pressJoin();
    entry.soon();
    expect(said(m1).slice(0, 3)).toEqual(["hello", "soon", "enter"]);
    expect(said(m1).filter((type) => type === "soon")).toHaveLength(1);
  });
  it("and Join is one message, with all that follows right behind it", async () => {
    await lobby();
    await pressJoin();
    expect(asked()).toEqual([true]);
    expect(world.peers).toHaveLength(3);
    expect(said(m1).slice(0, 4)).toEqual(["hello", "enter", "set_state", "want"]);
    const want = m1.told.find((m) => m.type === "want") as Extract<FromClient, { type: "want" }>;
    expect(want.slots).toEqual([{ slot: "v1", participant: "", max_height: 720 }]);
    expect(said(m1).filter((type) => type === "want")).toHaveLength(1); // which holds until there is a stage
    meeting?.look([]);
    await wait(100);
    expect(said(m1).filter((type) => type === "want")).toHaveLength(2);
    const report = meeting?.report();
    expect(report).toMatchObject({ ok: true, mmr: "m1" });
    expect(report?.phases.map((p) => p.name)).toEqual(["lookup", "zone", "mmr", "media"]);
  });
  it("and whoever has gone in so comes back like anybody", async () => {
    await lobby();
    await pressJoin();
    m1.kill();
    await wait(1500);
    expect(world.joins[1]?.request).toMatchObject({
      resume: { session: "s1", mmr: "m1", reason: "dead", admitted: 1 },
    });
    expect(meeting?.report().mmr).toBe("m2");
  });
  it("and is entered as whom one is at last", async () => {
    await lobby();
    world.pkg = { ...world.pkg, token: "another name's" };
    await pressJoin("Another Name");
    expect(m1.told.find((m) => m.type === "enter")).toEqual({ type: "enter", token: "another name's" });
    expect(world.joins).toHaveLength(1);
  });
  it("again when its time is up, while somebody is there", async () => {
    await lobby();
    for (const sessions of [2, 3]) {
      await wait(90_000);
      page.dispatchEvent(new Event("pointermove"));
      await wait(30_000);
      m1.say({ type: "farewell", reason: "lost" });
      await wait(6000);
      expect(asked()).toEqual(Array(sessions).fill(true));
    }
    await pressJoin();
    expect(asked()).toEqual([true, true, true]);
    expect(said(m1).slice(0, 2)).toEqual(["hello", "enter"]);
  });
  it("not while nobody is there, but when they are back", async () => {
    await lobby();
    await wait(125_000);
    m1.say({ type: "farewell", reason: "lost" });
    await wait(600_000);
    expect(asked()).toEqual([true]);
    page.dispatchEvent(new Event("pointermove"));
    await wait(200);
    page.dispatchEvent(new Event("keydown"));
    await wait(200);
    expect(asked()).toEqual([true, true]);
    expect(peers().map((p) => p.connectionState)).toEqual(["connected", "connected", "connected"]);
  });
  it("by a token that lasts", async () => {
    world.pkg.token_expires_at = new Date(Date.now() + 240_000).toISOString();
    await lobby();
    await wait(200_000);
    m1.say({ type: "farewell", reason: "lost" });
    await wait(6000);
    world.pkg = { ...world.pkg, token: "new", token_expires_at: new Date(Date.now() + 240_000).toISOString() };
    page.dispatchEvent(new Event("pointermove"));
    await wait(200);
    expect(world.lookups).toBe(2);
    expect(m1.told[0]).toMatchObject({ type: "hello", token: "new" });
  });
  it("as soon as the page is shown", async () => {
    visible = "hidden";
    await lobby();
    page.dispatchEvent(new Event("pointermove")); // a script's, say
    await wait(1000);
    expect(asked()).toEqual([]);
    visible = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    await wait(1000);
    expect(asked()).toEqual([true]);
    await pressJoin();
    expect(asked()).toEqual([true]);
  });
  it("less and less often where routers keep none", async () => {
    m1.dead = true;
    m2.dead = true;
    await lobby();
    for (let s = 1; s < 600; s++) {
      page.dispatchEvent(new Event("pointermove"));
      await wait(1000);
    }
    const waits = world.joins.map((j, i) => j.at - (world.joins[i - 1]?.at ?? 0)).slice(1);
    expect(waits.map((ms) => Math.round(ms / 1000))).toEqual([5, 10, 20, 40, 80, 120, 120, 120]);
  });
  it("until the lobby is left", async () => {
    await lobby();
    entry.close();
    expect(peers()).toEqual([]);
    expect(m1.sockets.every((s) => s.readyState === 3)).toBe(true);
  });
});

describe("the ordinary join is there", () => {
  it("when the time is up", async () => {
    await lobby();
    m1.say({ type: "farewell", reason: "lost" });
    await wait(100);
    expect(peers().map((p) => p.connectionState)).toEqual(["new", "new", "new"]); // made ready for it
    await pressJoin();
    expect(asked()).toEqual([true, false]);
  });
  it("when the channel breaks", async () => {
    await lobby();
    m1.sockets[0]?.drop();
    await pressJoin();
    expect(asked()).toEqual([true, false]);
  });
  it("when the network changes", async () => {
    await lobby();
    page.dispatchEvent(new Event("online"));
    await pressJoin();
    expect(asked()).toEqual([true, false]);
  });
  it("when a media connection fails", async () => {
    await lobby();
    world.peers[1]?.fail();
    await pressJoin();
    expect(asked()).toEqual([true, false]);
  });
  it("when the router lets nobody in any more", async () => {
    await lobby();
    m1.full = true;
    await pressJoin();
    expect(asked()).toEqual([true, false]);
    expect(world.joins[1]?.request.resume).toBeUndefined(); // nobody was there yet
    expect(m1.sockets[0]?.readyState).toBe(3);
  });
  it("when the router does not answer", async () => {
    await lobby();
    m1.freeze();
    await pressJoin();
    expect(asked()).toEqual([true, false]);
    expect(meeting?.report().mmr).toBe("m2");
  });
  it("when the router has not answered for a while", async () => {
    await lobby();
    m1.freeze();
    await wait(3000);
    const { ready } = await take();
    expect(ready).toBeNull();
  });
  it("where servers know no standby, with the same connections", async () => {
    world.standbys = false;
    await lobby();
    await wait(10_000);
    page.dispatchEvent(new Event("pointermove"));
    await wait(100);
    expect(said(m1)).toEqual([]); // or we would be in
    await pressJoin();
    expect(asked()).toEqual([true, false]);
    expect(world.peers).toHaveLength(3);
  });
  it("where Join is pressed before the controller has answered", async () => {
    void entry.warm("Ann");
    while (entry.state.get().step !== "ready") await wait(1);
    meeting = await enter(await take());
    expect(meeting.status.get()).toEqual({ state: "live" });
    expect(world.peers).toHaveLength(3);
    expect(said(m1)[0]).toBe("hello");
    expect(said(m1)).not.toContain("enter");
  });
  it("where Join is pressed while the session comes up: that is waited for", async () => {
    void entry.warm("Ann");
    while (world.peers[0]?.remote === "") await wait(1);
    meeting = await enter(await take());
    expect(asked()).toEqual([true]);
    expect(said(m1).slice(0, 2)).toEqual(["hello", "enter"]);
  });
  it("where the page is not looked at", async () => {
    visible = "hidden";
    await lobby();
    expect(asked()).toEqual([]);
    await pressJoin();
    expect(asked()).toEqual([false]);
  });
  it("where no router keeps anybody", async () => {
    m1.dead = true;
    m2.dead = true;
    await lobby();
    expect(asked()).toEqual([true]);
    m2.dead = false;
    await pressJoin();
    expect(meeting?.report().mmr).toBe("m2");
  });
});
