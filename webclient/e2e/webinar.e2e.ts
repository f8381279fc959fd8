// A webinar: a host and an attendee, who is brought up to speak and sent back.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMeeting, launch, Person } from "./people.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

describe("a webinar", () => {
  let host: Person;
  let ann: Person;

  beforeAll(async () => {
    const meeting = await createMeeting("Tides", "webinar");
    [host, ann] = [await Person.arrive(browser), await Person.arrive(browser)];
    await host.join(meeting.host_url, "Hana");
    await ann.join(meeting.join_url, "Ann");
  });
  afterAll(async () => {
    await ann.leave();
    await host.leave();
  });

  it("is seen and heard by an attendee, whom others are not shown", async () => {
    await ann.tile(/^Hana/).waitFor();
    await ann.grows("frames", 15);
    await ann.grows("energy", 0.0001);
    expect(await ann.button("Unmute").count()).toBe(0);
    expect(await ann.button("Start camera").count()).toBe(0);
    await ann.page.getByText("You are watching.").waitFor();
    await host.button("People, 2 here").waitFor();
    expect(await host.tile(/^Ann/).count()).toBe(0);
    await ann.accessible();
  });

  it("has an attendee who raises a hand brought up to speak", async () => {
    await ann.page.keyboard.press("h");
    await host.hears(/Ann raised a hand/);
    await host.page.keyboard.press("p");
    await host.accessible();
    await host.button("Bring up Ann to speak").click();
    await ann.page.getByRole("alertdialog", { name: "You have been brought up to speak" }).waitFor();
    await ann.button("Turn microphone on").click();
    await ann.button("Mute").waitFor();
    await ann.button("Start camera").click();
    await host.tile(/^Ann/).waitFor();
    await host.grows("energy", 0.0001);
    await host.grows("frames", 15);
  });

  it("has whoever spoke sent back", async () => {
    await host.button("Actions for Ann").click();
    await host.page.getByRole("menuitem", { name: "Send back to the audience" }).click();
    await ann.hears(/You are back in the audience/);
    await host.tile(/^Ann/).waitFor({ state: "detached" });
    await ann.button("Mute").waitFor({ state: "detached" });
    await ann.grows("frames", 5);
  });

  it("lets an attendee ask the panel", async () => {
    await ann.page.keyboard.press("c");
    await ann.page.getByRole("textbox", { name: "Message to hosts and panellists" }).fill("When is high water?");
    await ann.page.keyboard.press("Enter");
    await host.page.keyboard.press("c");
    await host.page.getByText("When is high water?").first().waitFor();
    await host.page.locator(".chat").getByText("To the panel").waitFor();
  });
});
