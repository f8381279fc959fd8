// A meeting outlives its routers: one is killed, frozen or drained in
// mid-meeting, and everybody is soon seen and heard again by another.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster, type RouterName } from "./cluster.ts";
import { gapsOf, longest, watchGaps } from "./gaps.ts";
import { launch, Person } from "./people.ts";

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

  const routerOf = async (person: Person): Promise<RouterName> => cluster.routerAt(await person.controlURL());
  const say = (text: string) => process.stdout.write(`${text}\n`);

  it("the router is killed: seen and heard again by the other", async () => {
    const [ann, ben] = await pair("Killed");
    const dead = await routerOf(ann);
    await watchGaps(ann.page, "Ben");
    await ann.page.keyboard.press("h"); // the hand stays up
    await ben.hears(/Ann raised a hand/);
    await ann.receives("Ben", "camera", 10);
    cluster.kill(dead);
    await expect.poll(() => routerOf(ann), { timeout: 20_000 }).not.toBe(dead);
    await ann.receives("Ben", "camera", 10);
    await ann.receives("Ben", "mic", 0.0001);
    await ben.receives("Ann", "camera", 10);
    const { frames, sounds, heard } = await gapsOf(ann.page);
    say(`router killed: no picture for ${longest(frames)} ms, no sound for ${longest(sounds)} ms`);
    expect(longest(frames)).toBeLessThan(8000);
    expect(heard).toBeLessThanOrEqual(4);
    await ann.button("Lower hand").waitFor();
    expect(await ann.page.locator("[data-tile]").count()).toBe(2); // nobody twice
    expect(await ben.page.getByText("Ann left").count()).toBe(0);
    await ann.page.context().close(); // their consoles rightly told of refused connections
    await ben.page.context().close();
    await cluster.restart(dead);
  });
});
