// Two people in one meeting: they see and hear each other, talk, and a host
// does what a host may do.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createMeeting, here, launch, Person, patience } from "./people.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

describe("two people", () => {
  let ann: Person;
  let ben: Person;

  beforeAll(async () => {
    const meeting = await createMeeting("Harbour bridge");
    [ann, ben] = [await Person.arrive(browser), await Person.arrive(browser)];
    await ann.join(meeting.host_url, "Ann");
    await ben.join(meeting.join_url, "Ben");
  });
  afterAll(async () => {
    await ann.leave();
    await ben.leave();
  });

  it("see each other", async () => {
    await ann.tile(/^Ben/).waitFor();
    await ben.tile(/^Ann/).waitFor();
    await ann.grows("frames", 15);
    await ben.grows("frames", 15);
    await ann.page.locator(".tile:not(:last-child) video.showing").waitFor();
  });

  it("see themselves, without flicker while others speak", async () => {
    const own = ann.page.locator(".tile:last-child video");
    await ann.page.locator(".tile:last-child video.showing").waitFor();
    await own.evaluate((video) => {
      const scope = globalThis as unknown as { exchanged: number };
      scope.exchanged = 0;
      video.addEventListener("emptied", () => scope.exchanged++);
    });
    await ann.grows("frames", 20);
    expect(await ann.page.evaluate(() => (globalThis as unknown as { exchanged: number }).exchanged)).toBe(0);
  });

  it("hear each other", async () => {
    await ann.grows("energy", 0.0001);
    await ben.grows("energy", 0.0001);
    await ann.tile(/^Ben.*Speaking/).waitFor();
  });

  it("have sound and picture together, within what people notice (ITU-R BT.1359)", async () => {
    const together = async () => {
      const skew = await ann.skew(); // above 0 the sound is early
      return skew <= 45 && skew >= -125;
    };
    await expect.poll(together, { timeout: patience, interval: 250 }).toBe(true);
  });

  it("write to each other", async () => {
    await ben.page.keyboard.press("c");
    await ben.page.getByRole("textbox", { name: "Message to everyone" }).fill("Good morning, 大家早");
    await ben.page.keyboard.press("Enter");
    await ann.button("Chat, 1 unread").waitFor();
    expect(await ann.page.title()).toBe("(1) Harbour bridge · Causeway");
    await ann.button("Chat, 1 unread").click();
    await ann.page.getByText("Good morning, 大家早").first().waitFor();
    await ann.button("Chat").waitFor();
    await ben.page.keyboard.press("Escape");
    await ann.page.keyboard.press("Escape");
    await expect.poll(() => ann.page.locator(".panel").count()).toBe(0);
  });

  it("mute themselves by key, and the other sees it", async () => {
    await ben.page.keyboard.press("m");
    await ben.button("Unmute").waitFor();
    await ann.tile(/^Ben, Muted/).waitFor();
    await ben.page.keyboard.press("m");
    await ben.button("Mute").waitFor();
    await ann.grows("energy", 0.0001);
  });

  it("turn the camera off and on", async () => {
    await ben.page.keyboard.press("v");
    await ann.page.locator(".tile:not(:last-child) video").waitFor({ state: "detached" });
    await ben.page.keyboard.press("v");
    await ann.page.locator(".tile:not(:last-child) video.showing").waitFor();
    await ann.grows("frames", 10);
  });

  it("raise a hand, which the host lowers", async () => {
    await ben.page.keyboard.press("h");
    await ann.hears(/Ben raised a hand/);
    await ann.page.keyboard.press("p");
    await ann.button("Actions for Ben").click();
    await ann.page.getByRole("menuitem", { name: "Lower hand" }).click();
    await ben.button("Raise hand").waitFor();
    await ben.hears(/Your hand is lowered/);
  });

  it("are muted by the host, one and all", async () => {
    await ann.button("Actions for Ben").click();
    await ann.page.getByRole("menuitem", { name: "Mute" }).click();
    await ben.hears(/Ann muted you/);
    await ben.button("Unmute").click();
    await ann.tile(/^Ben(?!, Muted)/).waitFor();
    await ann.button("Mute everyone").click();
    await ben.button("Unmute").waitFor();
    await ben.button("Unmute").click();
    await ann.page.keyboard.press("Escape");
  });

  it("share a screen", async () => {
    await ben.page.keyboard.press("s");
    await ben.page.getByText("You are sharing your screen").waitFor();
    await ann.page.getByText("Ben shares a screen").first().waitFor();
    await ann.grows("screenFrames", 1);
    await ann.page.locator(".screen video.showing").waitFor();
    await ben.button("Stop sharing").first().click();
    await ann.page.locator(".screen").waitFor({ state: "detached" });
  });

  it("go on when the control channel breaks, and get it back without noticing", async () => {
    const before = await ben.peersMade();
    await ben.breakControl();
    await ben.grows("frames", 10);
    await ben.controlled();
    expect(await ben.peersMade()).toBe(before); // media was not touched
    await ben.page.keyboard.press("h");
    await ann.hears(/Ben raised a hand/);
    await ben.page.keyboard.press("h");
    await ann.hears(/Ben lowered the hand/);
    expect(await ann.page.getByText("Ben left").count()).toBe(0);
  });

  it("write without a control channel, which is said once it is back", async () => {
    await ben.page.keyboard.press("c");
    await ben.breakControl();
    await ben.page.getByRole("textbox", { name: "Message to everyone" }).fill("Written on the way");
    await ben.page.keyboard.press("Enter");
    await ben.page.locator(".chat-line:not(.waiting)", { hasText: "Written on the way" }).waitFor();
    expect(await ben.page.locator(".chat-line", { hasText: "Written on the way" }).count()).toBe(1);
    await ben.page.keyboard.press("Escape");
    await ann.page.keyboard.press("c");
    expect(await ann.page.locator(".chat-line", { hasText: "Written on the way" }).count()).toBe(1);
    await ann.page.keyboard.press("Escape");
  });

  it("walk the menu by the keyboard, and have the focus back", async () => {
    const focused = () => ann.page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? "");
    await ann.button("More").focus();
    await ann.page.keyboard.press("Enter");
    const first = ann.page.getByRole("menuitem").first();
    await expect.poll(() => first.evaluate((e) => e === document.activeElement)).toBe(true);
    expect(await first.textContent()).toContain("Speaker view");
    await ann.page.keyboard.press("ArrowDown");
    await ann.page.keyboard.press("Enter");
    await ann.page.getByRole("complementary", { name: "How you are connected" }).waitFor();
    await ann.page.keyboard.press("Escape");
    await expect.poll(focused).toBe("More");
  });

  it("read how they are connected", async () => {
    await ann.page.keyboard.press("i");
    const panel = ann.page.getByRole("complementary", { name: "How you are connected" });
    for (const phase of ["Meeting lookup", "Zone selection", "Router selection", "Media routing"]) {
      await panel.getByText(phase).waitFor();
    }
    await panel
      .getByText(/^UDP .*:\d+$/)
      .first()
      .waitFor();
    await ann.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await panel.getByRole("button", { name: "Copy as JSON" }).click();
    const report = JSON.parse(await ann.page.evaluate(() => navigator.clipboard.readText()));
    expect(report).toMatchObject({ ok: true, route: "direct", media: { audio: { transport: "udp" } } });
    expect(report.first_media_ms).toBeGreaterThan(0);
    await ann.page.keyboard.press("Escape");
  });

  it("part: the host removes one and ends the meeting", async () => {
    await ann.page.keyboard.press("p");
    await ann.button("Actions for Ben").click();
    await ann.page.getByRole("menuitem", { name: "Remove from the meeting" }).click();
    await ann.page.getByRole("alertdialog").getByRole("button", { name: "Remove" }).click();
    await ben.page.getByRole("heading", { name: "You were removed from the meeting" }).waitFor();
    await ann.button("Leave").click();
    await ann.page.getByRole("menuitem", { name: "End for everyone" }).click();
    await ann.page.getByRole("alertdialog").getByRole("button", { name: "End for everyone" }).click();
    await ann.page.getByRole("heading", { name: "The meeting has ended" }).waitFor();
  });
});

it.runIf(inject("restart") !== "")("everybody comes back when the server is killed and starts anew", async () => {
  const meeting = await createMeeting("Restart");
  const [ann, ben] = [await Person.arrive(browser), await Person.arrive(browser)];
  await ann.join(meeting.join_url, "Ann");
  await ben.join(meeting.join_url, "Ben");
  await ann.grows("frames", 5);
  await fetch(inject("restart"));
  await ann.controlled();
  await ben.controlled();
  await ann.tile(/^Ben/).waitFor();
  await ann.receives("Ben", "camera", 5);
  await ben.receives("Ann", "camera", 5);
  await ann.page.context().close(); // their consoles rightly told of refused connections
  await ben.page.context().close();
});

it("the way from the start page into a room", async () => {
  const ann = await Person.arrive(browser);
  await ann.page.goto(`${inject("url")}/`);
  await ann.page.getByLabel("Topic").fill("Stand-up");
  await ann.button("Create meeting").click();
  const link = await ann.page.getByRole("textbox", { name: "Join link" }).inputValue();
  await ann.page.getByRole("link", { name: "Go to the lobby" }).click();
  await ann.page.getByText("You join as a host").waitFor();
  await ann.page.getByLabel("Your name").fill("Ann");
  await ann.button("Join now").click();
  await ann.inRoom();
  await ann.page.getByText("Nobody else is here yet").waitFor();
  const guest = await Person.arrive(browser);
  await guest.page.goto(`${inject("url")}/`);
  await guest.page.getByLabel("Number or link").fill(here(link));
  await guest.button("Join").click();
  await guest.page.getByRole("heading", { name: "Stand-up" }).waitFor();
  await guest.leave();
  await ann.leave();
});
