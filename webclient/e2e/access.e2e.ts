// Everybody can take part: by keyboard alone, with a screen reader, in
// Chinese, on a phone, without a camera; and what goes wrong is told in words.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createMeeting, here, launch, Person } from "./people.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

it("by keyboard alone: from the link into the room, and out again", async () => {
  const meeting = await createMeeting("Keys");
  const ann = await Person.arrive(browser);
  const { page } = ann;
  await page.goto(here(meeting.join_url));
  await page.locator(".way-ready").waitFor();
  await page.getByLabel("Your name").and(page.locator(":focus")).waitFor(); // it has the focus: nobody is known here
  await page.keyboard.type("Ann");
  await page.keyboard.press("Enter");
  await ann.inRoom();

  const focused = () =>
    page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent);
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("Skip to the controls");
  await page.keyboard.press("Enter");
  expect(await focused()).toBe("Mute");
  await page.keyboard.press("Enter");
  expect(await focused()).toBe("Unmute");

  await page.keyboard.press("c");
  await page.getByRole("textbox", { name: "Message to everyone" }).and(page.locator(":focus")).waitFor();
  await page.keyboard.type("mv"); // letters, not shortcuts, while typing
  await ann.button("Unmute").waitFor();
  await ann.button("Stop camera").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("listitem").filter({ hasText: "mv" }).first().waitFor();
  await page.keyboard.press("Escape");
  expect(await focused()).toBe("Unmute"); // the focus is back where it was

  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await page.keyboard.press("m"); // a dialog is open: nothing happens behind it
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await ann.button("Unmute").waitFor();

  for (let i = 0; i < 12 && (await focused()) !== "Leave"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "You left the meeting" }).waitFor();
  for (let i = 0; i < 6 && (await focused()) !== "Join again"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByLabel("Your name").waitFor();
  expect(await page.getByLabel("Your name").inputValue()).toBe("Ann");
  await ann.leave();
});

describe.each(["light", "dark"] as const)("no barrier that axe knows of, %s", (colorScheme) => {
  it("on the start page and after creating", async () => {
    const ann = await Person.arrive(browser, { colorScheme });
    await ann.page.goto(`${inject("url")}/`);
    await ann.accessible();
    await ann.button("Create meeting").click();
    await ann.page.getByRole("heading", { name: "Your meeting is ready" }).waitFor();
    await ann.accessible();
    await ann.leave();
  });
  it("in lobby and room, with every panel and dialog", async () => {
    const meeting = await createMeeting("Axe");
    const ann = await Person.arrive(browser, { colorScheme, reducedMotion: "reduce" });
    await ann.page.goto(here(meeting.host_url));
    await ann.page.locator(".way-ready").waitFor();
    await ann.accessible();
    await ann.page.getByLabel("Your name").fill("Ann");
    await ann.button("Join now").click();
    await ann.inRoom();
    await ann.page.locator(".toast").waitFor({ state: "detached" });
    await ann.accessible();
    for (const [key, panel] of [
      ["c", "Chat"],
      ["p", "1 person"],
      ["i", "How you are connected"],
    ] as const) {
      await ann.page.keyboard.press(key);
      await ann.page.getByRole("complementary", { name: panel }).waitFor();
      await ann.accessible();
      await ann.page.keyboard.press("Escape");
    }
    await ann.page.keyboard.press("?");
    await ann.page.getByRole("dialog").waitFor();
    await ann.accessible();
    await ann.page.keyboard.press("Escape");
    await ann.leave();
  });
});

it("in Chinese when the browser asks for it, and back at a choice that is remembered", async () => {
  const meeting = await createMeeting("橋樑週會");
  const mei = await Person.arrive(browser, { locale: "zh-TW" });
  await mei.page.goto(here(meeting.join_url));
  await mei.page.getByRole("heading", { name: "橋樑週會" }).waitFor();
  expect(await mei.page.locator("html").getAttribute("lang")).toBe("zh-TW");
  await mei.join(meeting.join_url, "陳怡君");
  await mei.button("靜音").waitFor();
  await mei.page.keyboard.press("h");
  await mei.button("放下手").waitFor();
  await mei.button("離開").click();
  await mei.page.getByRole("heading", { name: "您已離開會議" }).waitFor();
  await mei.page.getByLabel("語言").selectOption("en");
  await mei.page.getByRole("heading", { name: "You left the meeting" }).waitFor();
  await mei.page.goto(`${inject("url")}/`);
  await mei.button("Create meeting").waitFor();
  await mei.leave();
});

it("on a phone: everything within the screen, the rest in the menu", async () => {
  const meeting = await createMeeting("Phone");
  const phone = { viewport: { width: 375, height: 667 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
  const [ann, ben] = [await Person.arrive(browser, phone), await Person.arrive(browser)];
  const fits = async () =>
    expect(await ann.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(375);
  await ann.page.goto(`${inject("url")}/`);
  await fits();
  await ann.page.goto(here(meeting.join_url));
  await ann.page.locator(".way-ready").waitFor();
  await fits();
  await ann.join(meeting.join_url, "Ann");
  await ben.join(meeting.join_url, "Ben");
  await ann.tile(/^Ben/).waitFor();
  await ann.grows("frames", 5);
  await fits();
  for (const control of await ann.page.locator("#controls button:visible").all()) {
    const box = await control.boundingBox();
    expect(box && box.x >= 0 && box.x + box.width <= 375 && box.width >= 44 && box.height >= 44).toBe(true);
  }
  await ann.button("More").tap();
  await ann.page.getByRole("menuitem", { name: "People" }).tap();
  const panel = ann.page.getByRole("complementary", { name: "2 people" });
  await panel.waitFor();
  expect((await panel.boundingBox())?.width).toBe(375);
  await ann.accessible();
  await panel.getByRole("button", { name: "Close" }).tap();
  await ann.leave();
  await ben.leave();
});

it("without a camera or a microphone", async () => {
  const meeting = await createMeeting("Listener");
  const ann = await Person.arrive(browser);
  await ann.page.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("refused", "NotAllowedError"));
  });
  const ben = await Person.arrive(browser);
  await ann.join(meeting.join_url, "Ann");
  await ben.join(meeting.join_url, "Ben");
  await ann.button("Unmute").waitFor();
  await ann.grows("frames", 5);
  await ann.grows("energy", 0.0001);
  await ann.page.keyboard.press("m");
  await ann.page.getByText("The browser may not use your camera or microphone.").first().waitFor();
  await ann.leave();
  await ben.leave();
});

it("checks the connection from the lobby, and tells it in words", async () => {
  const meeting = await createMeeting("Check");
  const ann = await Person.arrive(browser);
  await ann.page.goto(here(meeting.join_url));
  await ann.page.locator(".way-ready").waitFor();
  await ann.page.getByRole("link", { name: "Check my connection" }).click();
  await ann.page.getByText("Nothing stands in the way").waitFor();
  const line = (name: string) => ann.page.getByRole("listitem").filter({ hasText: name }).first();
  for (const name of [
    "Web server",
    "Meeting zones",
    "This computer's clock",
    "Admission",
    "Control channel",
    "by UDP",
    "by TCP",
  ])
    expect(await line(name).textContent()).toContain("good");
  await ann.accessible();
  await ann.page.getByLabel("Language").selectOption("zh-TW");
  await ann.page.getByRole("heading", { name: "連線檢查" }).waitFor();
  await ann.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await ann.button("複製為文字給管理員").click();
  expect(await ann.page.evaluate(() => navigator.clipboard.readText())).toContain("會議區域: 良好");
  await ann.page.locator("main a.primary").click();
  await ann.page.locator(".way-ready").waitFor();
  await ann.leave();
});

describe("what goes wrong is told in words", () => {
  it("a wrong passcode is asked for again, and the right one goes on", async () => {
    const meeting = await createMeeting("Secret");
    const ann = await Person.arrive(browser);
    await ann.page.goto(`${inject("url")}/j/${meeting.number}?pwd=wrong`);
    const field = ann.page.getByLabel("This meeting has a passcode");
    await ann.page.getByText("That passcode is not right.").waitFor();
    await ann.accessible();
    await field.fill(meeting.passcode);
    await ann.button("Continue").click();
    await ann.page.locator(".way-ready").waitFor();
    const name = ann.page.getByLabel("Your name");
    await expect.poll(() => name.evaluate((e) => e === document.activeElement)).toBe(true);
    await ann.page.context().close(); // the console rightly told of status 403
  });
  it("a passcode goes with Join now, too", async () => {
    const meeting = await createMeeting("Secret");
    const ann = await Person.arrive(browser);
    await ann.page.goto(`${inject("url")}/j/${meeting.number}`);
    await ann.page.getByLabel("Your name").fill("Ann");
    const field = ann.page.getByLabel("This meeting has a passcode");
    await field.fill("wrong");
    await ann.button("Join now").click();
    await ann.page.getByText("That passcode is not right.").waitFor();
    await field.fill(meeting.passcode);
    await ann.button("Join now").click();
    await ann.inRoom();
    await ann.page.context().close(); // the console rightly told of status 403
  });
  it("a meeting that there is not", async () => {
    const ann = await Person.arrive(browser);
    await ann.page.goto(`${inject("url")}/j/999999999?pwd=x`);
    await ann.page.getByText("There is no meeting with this number.").waitFor();
    await ann.page.getByText("Check the number in your invitation").waitFor();
    await ann.accessible();
    await ann.page.context().close(); // the console rightly told of status 404
  });
  it("an address that is no page", async () => {
    const ann = await Person.arrive(browser);
    await ann.page.goto(`${inject("url")}/j/12`);
    await ann.page.getByRole("heading", { name: "There is nothing here" }).waitFor();
    await ann.accessible();
    await ann.leave();
  });
});
