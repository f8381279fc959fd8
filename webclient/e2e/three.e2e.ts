// Three people in one meeting, two in browsers and one from the command line:
// all three see and hear each other, one in a browser that sends its sound with redundancy, and the native test card's sound and
// picture stay together in a page.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { distances, median, watchTestCard } from "./flashes.ts";
import { Native } from "./native.ts";
import { createMeeting, here, launch, Person } from "./people.ts";

const binary = process.env.CAUSEWAY_BIN ?? "";

describe.runIf(binary)("two pages and a native client", () => {
  let browser: Browser;
  let ann: Person;
  let ben: Person;
  let native: Native;
  let link: string;

  beforeAll(async () => {
    browser = await launch();
    const meeting = await createMeeting("Three of us");
    [ann, ben] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ann.join(meeting.join_url, "Ann");
    await ben.join(meeting.join_url, "Ben");
    link = here(meeting.join_url);
  });
  afterAll(async () => {
    await native?.close();
    await browser?.close();
  });

  it("send sound with redundancy while their way to the router loses packets", async () => {
    const once = await ann.perPacket();
    await ann.loses(0.05);
    await expect.poll(async () => (await ann.events()).join(), { timeout: 60_000 }).toContain("sound goes twice");
    await expect.poll(() => ann.perPacket(), { timeout: 30_000 }).toBeGreaterThan(1.5 * once);
  });

  it("see and hear each other in the pages", async () => {
    native = new Native(binary, link, "Nan");
    for (const [me, other] of [
      [ann, "Ben"],
      [ben, "Ann"],
    ] as const) {
      for (const name of [other, "Nan"]) {
        await me.receives(name, "camera", 20);
        await me.receives(name, "mic", 0.0001);
      }
    }
  });

  it("play the native test card's sound and picture together (ITU-R BT.1359)", { timeout: 90_000 }, async () => {
    await watchTestCard(ann.page, "Nan");
    let seen: number[] = [];
    // Steering has settled when flash after flash finds its beep at about the same distance, and a small one.
    const settled = async () => {
      seen = (await distances(ann.page)).slice(-5);
      const close = median(seen) > -45 && median(seen) < 125;
      return seen.length === 5 && Math.max(...seen) - Math.min(...seen) < 60 && close
        ? "together"
        : seen.map(Math.round);
    };
    await expect.poll(settled, { timeout: 60_000, interval: 500 }).toBe("together");
    process.stdout.write(`beeps after flashes: ${seen.map(Math.round).join(", ")} ms\n`);
  });

  it("are seen and heard by the native client", async () => {
    const { status, report, recordings, log } = await native.leave();
    expect(status, log).toBe(0);
    expect(report).toMatchObject({ ok: true, media: { audio: { transport: "udp" }, video: { transport: "udp" } } });
    for (const name of ["Ann", "Ben"]) {
      const of = (source: string) => recordings.find((r) => r.name === name && r.source === source);
      const [camera, mic] = [of("camera"), of("mic")];
      expect(camera?.frames, name).toBeGreaterThan(20);
      expect(await native.pictures(camera?.file ?? ""), name).toBeGreaterThan(20);
      expect(await native.loudest(mic?.file ?? ""), name).toBeGreaterThan(-40);
    }
    await ann.leave();
    await ben.leave();
  });
});
