// Whoever is in the lobby has a session ready, and is not in the meeting: the
// others neither see nor hear of them until Join is pressed.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMeeting, here, launch, Person, patience } from "./people.ts";

let browser: Browser;
let ann: Person;
let ben: Person;
let link: string;
/** The types of the messages on Ben's control channels, "> " before what he said. */
let messages: string[];

beforeAll(async () => {
  browser = await launch();
  const meeting = await createMeeting("Waiting room");
  link = meeting.join_url;
  ann = await Person.arrive(browser);
  await ann.join(meeting.host_url, "Ann");
});
afterAll(async () => {
  await ann.leave();
  await browser.close();
});

/** Ben comes into the lobby, until his session stands by. */
async function arrive(): Promise<void> {
  messages = [];
  ben = await Person.arrive(browser);
  ben.page.on("websocket", (socket) => {
    const type = (payload: string | Buffer) => (JSON.parse(String(payload)) as { type: string }).type;
    socket.on("framesent", ({ payload }) => messages.push(`> ${type(payload)}`));
    socket.on("framereceived", ({ payload }) => messages.push(type(payload)));
  });
  await ben.page.goto(here(link));
  await ben.page.getByLabel("Your name").fill("Ben");
  await expect.poll(() => messages, { timeout: patience }).toContain("standby");
  await expect.poll(() => connected(), { timeout: patience }).toBe(3);
}

/** How many of Ben's media connections are up. */
function connected(): Promise<number> {
  return ben.page.evaluate(() => {
    const { peers } = globalThis as unknown as { peers: RTCPeerConnection[] };
    return peers.filter((p) => p.connectionState === "connected").length;
  });
}

/** Ben's session is lost. */
async function lose(): Promise<void> {
  await ben.page.evaluate(() => {
    const { sockets } = globalThis as unknown as { sockets: WebSocket[] };
    for (const socket of sockets) socket.close();
  });
  await expect.poll(() => connected(), { timeout: patience }).toBe(0);
}

/** Ben does something by which he is about to join. */
async function nears(act: () => Promise<void>): Promise<void> {
  const soon = () => messages.filter((m) => m === "> soon").length;
  const before = soon();
  await act();
  await expect.poll(soon, { timeout: patience }).toBeGreaterThan(before);
}

/** Of what was said, and heard, without the signs of life, and of somebody near the button. */
const conversation = () => messages.filter((m) => !/ping|pong|soon/.test(m));

describe("the lobby", () => {
  it("is not the meeting: nobody sees, and nobody is seen", async () => {
    await arrive();
    // What is said comes after whatever there is to tell of people.
    await ann.page.keyboard.press("c");
    await ann.page.getByRole("textbox", { name: "Message to everyone" }).fill("Nobody here");
    await ann.page.keyboard.press("Enter");
    await ann.page.locator(".chat-line:not(.waiting)", { hasText: "Nobody here" }).waitFor();
    expect(await ann.page.getByText("Ben").count()).toBe(0);
    expect(await ann.tile(/^Ben/).count()).toBe(0);
    expect((await ben.seen()).audioPackets).toBe(0);
    expect(conversation()).toEqual(["> hello", "standby"]);
  });

  it("leads in with one message", async () => {
    await nears(() => ben.page.getByRole("button", { name: "Join now" }).hover());
    await ben.page.getByRole("button", { name: "Join now" }).click();
    await ben.inRoom();
    await ann.tile(/^Ben/).waitFor();
    await ben.grows("frames", 15);
    await ann.grows("frames", 15);
    expect(conversation().slice(0, 4)).toEqual(["> hello", "standby", "> enter", "> set_state"]);
    expect(messages.filter((m) => m === "> hello")).toHaveLength(1);
    await ben.leave();
  });

  it("leads in from the field of the name as well", async () => {
    await arrive();
    await nears(() => ben.page.getByLabel("Your name").pressSequentially("jamin"));
    await ben.page.keyboard.press("Enter");
    await ben.inRoom();
    await ann.tile(/^Benjamin/).waitFor();
    expect(conversation().slice(0, 4)).toEqual(["> hello", "standby", "> enter", "> set_state"]);
    await ben.leave();
  });

  it("has another session ready where one is gone, while somebody is there", async () => {
    await arrive();
    await lose();
    for (let x = 0; conversation().filter((m) => m === "standby").length < 2; x++) {
      await ben.page.mouse.move(100 + (x % 100), 100);
      await ben.page.waitForTimeout(100); // between two movements
    }
    await ben.page.getByRole("button", { name: "Join now" }).click();
    await ben.inRoom();
    await ben.grows("frames", 15);
    expect(conversation().slice(0, 5)).toEqual(["> hello", "standby", "> hello", "standby", "> enter"]);
    await ben.leave();
  });

  it("leads in when the session that stood by is gone, too", async () => {
    await arrive();
    await ben.page.evaluate(() => {
      Object.defineProperty(document, "visibilityState", { get: () => "hidden" }); // no other is made ready
    });
    await lose();
    await ben.page.getByRole("button", { name: "Join now" }).click();
    await ben.inRoom();
    await ann.tile(/^Ben/).waitFor();
    await ben.grows("frames", 15);
    expect(messages).not.toContain("> enter");
    expect(messages).toContain("welcome");
    await ben.leave();
  });

  it("asks for no camera that is remembered as off", async () => {
    ben = await Person.arrive(browser);
    await ben.page.addInitScript(() => {
      localStorage.setItem("causeway", JSON.stringify({ name: "Ben", cameraOn: false }));
      const asked: string[] = [];
      const ask = MediaDevices.prototype.getUserMedia;
      MediaDevices.prototype.getUserMedia = function (wanted) {
        asked.push(...Object.keys(wanted ?? {}).sort());
        return ask.call(this, wanted);
      };
      Object.assign(globalThis, { asked });
    });
    const asked = () => ben.page.evaluate(() => (globalThis as unknown as { asked: string[] }).asked);
    await ben.page.goto(here(link));
    await ben.page.locator(".way-ready").waitFor();
    await expect.poll(asked, { timeout: patience }).toEqual(["audio"]);
    await ben.page.getByRole("button", { name: "Stop camera" }).click(); // which is pressed, and starts it
    await ben.page.locator(".preview video.showing").waitFor();
    expect(await asked()).toEqual(["audio", "video"]);
    await ben.leave();
  });

  it("offers no second try where the meeting has ended", async () => {
    const over = await createMeeting("Over");
    await ann.leave();
    ann = await Person.arrive(browser);
    await ann.join(over.host_url, "Ann");
    await ann.button("Leave").click();
    await ann.page.getByRole("menuitem", { name: "End for everyone" }).click();
    await ann.page.getByRole("alertdialog").getByRole("button", { name: "End for everyone" }).click();
    await ann.page.getByRole("link", { name: "Start page" }).waitFor();
    expect(await ann.button("Try again").count()).toBe(0);
    expect(await ann.button("Join again").count()).toBe(0);
    ben = await Person.arrive(browser);
    await ben.page.goto(here(over.join_url));
    await ben.page.getByRole("alert").waitFor();
    await ben.page.getByRole("link", { name: "Start page" }).waitFor();
    expect(await ben.button("Try again").count()).toBe(0);
    ben.complaints.length = 0; // the refusal is on the console
    await ben.leave();
  });
});
