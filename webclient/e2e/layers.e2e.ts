// A camera's layers: what nobody takes is neither encoded nor sent, and comes
// back when somebody wants it, while the picture goes on.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "./cluster.ts";
import { gapsOf, longest, watchGaps } from "./gaps.ts";
import { createMeeting, launch, Person, patience } from "./people.ts";

const binary = process.env.CAUSEWAY_BIN ?? "";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const [large, small] = [
  { width: 1280, height: 800 },
  { width: 360, height: 480 },
];

/** Waits until a scalable camera is encoded in this mode. */
const encodes = (person: Person, mode: string) =>
  expect.poll(() => person.mode(), { timeout: patience, interval: 100, message: "mode" }).toBe(mode);

describe("a camera", () => {
  let ann: Person;
  let ben: Person;
  let link: string;

  /** Waits until exactly these layers of Ann's camera are sent, smallest first. */
  const sends = (...layers: boolean[]) =>
    expect.poll(() => ann.sends("camera"), { timeout: patience, interval: 100 }).toEqual(layers);

  beforeAll(async () => {
    const meeting = await createMeeting("Long exposure");
    link = meeting.join_url;
    [ann, ben] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ann.join(meeting.host_url, "Ann");
  });
  afterAll(async () => {
    await ann.leave();
    await ben.leave();
  });

  it("is sent whole at first, and not at all while nobody else is there", async () => {
    await sends(true, true, true);
    await sends(false, false, false);
  });

  it("is seen at full size by who comes", async () => {
    await ben.join(link, "Ben");
    await ben.shows("Ann", 720);
  });

  it("is sent small to who wants it small", async () => {
    await ben.page.setViewportSize(small);
    await ben.shows("Ann", 180);
    await sends(true, false, false);
    await ben.receives("Ann", "camera", 10);
  });

  it("comes back at full size, and the small one goes on until then", async () => {
    await ben.page.setViewportSize(large);
    await ben.shows("Ann", 720);
    await sends(true, false, true);
    await ben.receives("Ann", "camera", 10);
  });

  it("is sent whole when it is turned on again", async () => {
    await ann.page.keyboard.press("v");
    await sends(false, false, false);
    await ann.page.keyboard.press("v");
    await ben.shows("Ann", 720);
  });
});

describe.each([
  ["VP9", "Depth of field"],
  ["AV1", "Focus stacking"],
])("a camera in %s, one stream with its layers inside", (codec, topic) => {
  let ann: Person;
  let ben: Person;
  let link: string;

  beforeAll(async () => {
    const meeting = await createMeeting(topic);
    link = meeting.join_url;
    [ann, ben] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ann.join(`${meeting.host_url}&camera=${codec.toLowerCase()}`, "Ann");
    await ben.join(meeting.join_url, "Ben");
  });
  afterAll(async () => {
    await ann.leave();
    await ben.leave();
  });

  it("is seen at full size", async () => {
    await expect.poll(() => ben.codec("Ann"), { timeout: patience, interval: 200 }).toBe(`video/${codec}`);
    await ben.shows("Ann", 720);
    await ben.receives("Ann", "camera", 10);
  });

  it("is seen small by who wants it small, and no more is encoded then", async () => {
    await watchGaps(ben.page, "Ann");
    await ben.page.setViewportSize(small);
    await ben.shows("Ann", 180);
    await encodes(ann, "L1T3");
    await ben.receives("Ann", "camera", 20);
  });

  it("is seen at full size again", async () => {
    await ben.page.setViewportSize(large);
    await ben.shows("Ann", 720);
    await encodes(ann, "L3T3_KEY");
    await ben.receives("Ann", "camera", 20);
    const { frames, bare } = await gapsOf(ben.page);
    expect(bare).toBe(0); // there was a picture all the time
    process.stdout.write(
      `${codec}, small and large again: the longest time between two pictures ${longest(frames)} ms\n`,
    );
  });

  it("is seen beside one in VP8", async () => {
    await ann.receives("Ben", "camera", 10);
    expect(await ann.codec("Ben")).toBe("video/VP8");
  });

  it("is sent instead of the other", async () => {
    await expect.poll(() => ann.sends("camera"), { timeout: patience, interval: 200 }).toEqual([false, false, false]);
  });

  it("gives way to the other for everybody when somebody comes who does not decode it", async () => {
    const cleo = await Person.arrive(browser);
    await cleo.lacks(codec);
    await cleo.join(link, "Cleo");
    await cleo.receives("Ann", "camera", 10);
    expect(await cleo.codec("Ann")).toBe("video/VP8");
    await expect.poll(() => ben.codec("Ann"), { timeout: patience, interval: 200 }).toBe("video/VP8");
    await ben.receives("Ann", "camera", 20);
    await cleo.leave();
  });

  it("is back when that one has left", async () => {
    await expect.poll(() => ben.codec("Ann"), { timeout: patience, interval: 200 }).toBe(`video/${codec}`);
    await ben.receives("Ann", "camera", 20);
  });
});

// Routers that take one person each, with one to spare, so that every picture goes from router to router.
describe.runIf(binary).each([
  ["VP9", "Long road"],
  ["AV1", "Far field"],
])("a camera in %s, from router to router", (codec, topic) => {
  const options = { ignoreHTTPSErrors: true };
  let cluster: Cluster;
  let ann: Person;
  let ben: Person;
  let link: string;

  const comesIn = (form: string) =>
    expect
      .poll(() => ben.codec("Ann"), { timeout: patience, interval: 200, message: "codec of Ann's camera" })
      .toBe(`video/${form}`);

  beforeAll(async () => {
    cluster = await Cluster.start(binary, { routers: 4, participants: 1 });
    link = (await cluster.createMeeting(topic)).join_url;
    [ann, ben] = [await Person.arrive(browser, options), await Person.arrive(browser, options)];
    await ann.join(`${link}&camera=${codec.toLowerCase()}`, "Ann", cluster.url);
    await ben.join(link, "Ben", cluster.url);
  });
  afterAll(async () => {
    await ann?.leave();
    await ben?.leave();
    await cluster?.close();
  });

  it("is seen by who is on another router", async () => {
    expect(cluster.routerAt(await ann.controlURL())).not.toBe(cluster.routerAt(await ben.controlURL()));
    await comesIn(codec);
    await ben.shows("Ann", 720);
    await ben.receives("Ann", "camera", 20);
    await expect.poll(() => ann.sends("camera"), { timeout: patience, interval: 200 }).toEqual([false, false, false]);
  });

  it("is seen small there by who wants it small, and large again", async () => {
    await watchGaps(ben.page, "Ann");
    await ben.page.setViewportSize(small);
    await ben.shows("Ann", 180);
    await encodes(ann, "L1T3");
    await ben.receives("Ann", "camera", 20);
    await ben.page.setViewportSize(large);
    await ben.shows("Ann", 720);
    await encodes(ann, "L3T3_KEY");
    await ben.receives("Ann", "camera", 20);
  });

  it("gives way to VP8 on all routers for who does not decode it, and is back when that one has left", async () => {
    const cleo = await Person.arrive(browser, options);
    await cleo.lacks(codec);
    await cleo.join(link, "Cleo", cluster.url);
    await cleo.receives("Ann", "camera", 20);
    expect(await cleo.codec("Ann")).toBe("video/VP8");
    await comesIn("VP8");
    await ben.receives("Ann", "camera", 20);
    await cleo.leave();
    await comesIn(codec);
    await ben.receives("Ann", "camera", 20);
    const { frames, bare } = await gapsOf(ben.page);
    expect(bare).toBe(0); // there was a picture all the time
    process.stdout.write(`${codec} over routers: the longest time between two pictures ${longest(frames)} ms\n`);
  });
});
