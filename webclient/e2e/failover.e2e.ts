// A meeting outlives its routers: one is killed, frozen or drained in
// mid-meeting, and everybody is soon seen and heard again by another.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Cluster } from "./cluster.ts";
import { gapsOf, longest, watchGaps } from "./gaps.ts";
import { launch, Person, patience } from "./people.ts";

const binary = process.env.CAUSEWAY_BIN ?? "";

describe.runIf(binary)("two routers", () => {
  let browser: Browser;
  let cluster: Cluster;
  beforeAll(async () => {
    [browser, cluster] = await Promise.all([launch(), Cluster.start(binary)]);
  });
  afterAll(async () => {
    await browser?.close();
    await cluster?.close();
  });

  beforeEach(() => cluster.heal());

  /** Two people in a meeting; both see and hear the other. */
  async function pair(topic: string): Promise<[Person, Person]> {
    const meeting = await cluster.createMeeting(topic);
    const options = { ignoreHTTPSErrors: true };
    const [ann, ben] = [await Person.arrive(browser, options), await Person.arrive(browser, options)];
    await ann.join(meeting.join_url, "Ann", cluster.url);
    await ben.join(meeting.join_url, "Ben", cluster.url);
    await ann.receives("Ben", "camera", 10);
    await ben.receives("Ann", "camera", 10);
    await ann.receives("Ben", "mic", 0.0001);
    return [ann, ben];
  }

  const routerOf = async (person: Person): Promise<string> => cluster.routerAt(await person.controlURL());
  const say = (text: string) => process.stdout.write(`${text}\n`);

  it("the router is killed: seen and heard again by the other", async () => {
    const [ann, ben] = await pair("Killed");
    const dead = await routerOf(ann);
    await watchGaps(ann.page, "Ben");
    await ann.page.keyboard.press("h"); // the hand stays up
    await ben.hears(/Ann raised a hand/);
    await ann.receives("Ben", "camera", 10);
    cluster.kill(dead);
    await expect.poll(() => routerOf(ann), { timeout: patience }).not.toBe(dead);
    await ann.receives("Ben", "camera", 10);
    await ann.receives("Ben", "mic", 0.0001);
    await ben.receives("Ann", "camera", 10);
    const { frames, sounds, heard } = await gapsOf(ann.page);
    say(`router killed: no picture for ${longest(frames)} ms, no sound for ${longest(sounds)} ms`);
    expect(longest(frames)).toBeLessThan(patience);
    expect(heard).toBeLessThanOrEqual(4);
    await ann.button("Lower hand").waitFor();
    expect(await ann.page.locator("[data-tile]").count()).toBe(2); // nobody twice
    expect(await ben.page.getByText("Ann left").count()).toBe(0);
    await ann.page.context().close(); // their consoles rightly told of refused connections
    await ben.page.context().close();
  });

  it("the router is frozen: the same", async () => {
    const [ann, ben] = await pair("Frozen");
    const frozen = await routerOf(ann);
    await watchGaps(ann.page, "Ben");
    await ann.receives("Ben", "camera", 10);
    cluster.freeze(frozen, true);
    await expect.poll(() => routerOf(ann), { timeout: patience }).not.toBe(frozen);
    await ann.receives("Ben", "camera", 10);
    await ben.receives("Ann", "camera", 10);
    const { frames, sounds } = await gapsOf(ann.page);
    say(`router frozen: no picture for ${longest(frames)} ms, no sound for ${longest(sounds)} ms`);
    expect(longest(frames)).toBeLessThan(patience);
    cluster.freeze(frozen, false); // what it says now is of no consequence
    await ann.receives("Ben", "camera", 10);
    expect(await routerOf(ann)).not.toBe(frozen);
    await ann.page.context().close();
    await ben.page.context().close();
  });

  it("the router drains: everybody moves, and nothing is frozen or heard twice", async () => {
    const [ann, ben] = await pair("Drained");
    const old = await routerOf(ann);
    await watchGaps(ann.page, "Ben");
    await ann.receives("Ben", "camera", 20);
    const ended = cluster.drain(old);
    await expect.poll(() => routerOf(ann), { timeout: patience }).not.toBe(old);
    await expect.poll(() => routerOf(ben), { timeout: patience }).not.toBe(old);
    expect(await ended).toBe(0);
    await ann.receives("Ben", "camera", 20);
    await ann.receives("Ben", "mic", 0.0001);
    const { frames, sounds, heard, bare } = await gapsOf(ann.page);
    say(
      `router drained: the longest time between two pictures ${longest(frames)} ms, between two packets of sound ${longest(sounds)} ms`,
    );
    expect(bare).toBe(0); // there was a picture all the time
    expect(heard).toBeLessThanOrEqual(4);
    expect(await ann.page.getByText("Ben left").count()).toBe(0);
    expect(await ann.page.locator("[data-tile]").count()).toBe(2);
    expect(await ann.page.locator(".banner-warn").count()).toBe(0);
    await ann.leave();
    await ben.leave();
  });

  it("another network: media goes on from a new address, in the same session", async () => {
    const [ann, ben] = await pair("Roaming");
    await watchGaps(ann.page, "Ben");
    await ann.receives("Ben", "camera", 10);
    const [peers, before] = [await ann.peersMade(), await ann.ports()];
    await ann.changeNetwork();
    const moved = async () => (await ann.ports()).filter((port) => !before.includes(port)).length;
    await expect.poll(moved, { timeout: patience }).toBe(3);
    await ann.receives("Ben", "camera", 10);
    await ben.receives("Ann", "camera", 10);
    const { frames, bare } = await gapsOf(ann.page);
    say(`network changed: the longest time between two pictures ${longest(frames)} ms`);
    expect(bare).toBe(0);
    expect(await ann.peersMade()).toBe(peers);
    await ann.leave();
    await ben.leave();
  });

  it("WebSocket is blocked to the router: the control channel comes back by the gateway, media is not touched", async () => {
    const [ann, ben] = await pair("Detour");
    const peers = await ann.peersMade();
    await ann.blockControl();
    await ann.breakControl();
    await ann.receives("Ben", "camera", 10);
    await expect.poll(() => ann.controlURL(), { timeout: patience }).toContain("/gateway/v1/control");
    await ann.controlled();
    await ann.page.keyboard.press("h");
    await ben.hears(/Ann raised a hand/);
    expect(await ann.peersMade()).toBe(peers);
    await ann.page.context().close(); // its console rightly told of refused connections
    await ben.leave();
  });

  it("joined over TCP: climbs to UDP when that works, without a gap", async () => {
    const meeting = await cluster.createMeeting("Climbing");
    const options = { ignoreHTTPSErrors: true };
    const [ann, ben] = [await Person.arrive(browser, options), await Person.arrive(browser, options)];
    await ann.page.addInitScript(() => {
      (globalThis as unknown as { noUDP: boolean }).noUDP = true;
    });
    await ann.join(meeting.join_url, "Ann", cluster.url);
    await ben.join(meeting.join_url, "Ben", cluster.url);
    await ann.receives("Ben", "camera", 10);
    const over = async () => [...new Set((await ann.ports()).map((port) => port.split(" ")[0]))].join();
    expect(await over()).toBe("tcp");
    await watchGaps(ann.page, "Ben");
    await ann.receives("Ben", "camera", 20);
    await ann.blockUDP(false);
    await ann.changeNetwork(); // without it, it would be tried after 15 s
    await expect.poll(over, { timeout: patience }).toBe("udp");
    await ann.receives("Ben", "camera", 20);
    await ben.receives("Ann", "camera", 10);
    const { frames, heard, bare } = await gapsOf(ann.page);
    say(`climbed to UDP: the longest time between two pictures ${longest(frames)} ms`);
    expect(bare).toBe(0);
    expect(heard).toBeLessThanOrEqual(4);
    await ann.leave();
    await ben.leave();
  });
});
