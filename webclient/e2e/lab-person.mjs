// One person in Chromium, for the lab's table of what people get
// (lab/chromium_test.go): joins a meeting from the lobby and tells, in lines of
// JSON, what was shown and heard.
//
//   node lab-person.mjs URL NAME WATCHED
//
// Watches the tile of the person called WATCHED, or publishes when that is
// empty. CAMERA and SOUND name the files that are played as camera (Y4M) and
// microphone (WAV). Any line on standard input is answered by what was measured
// so far, "report" also by what the report tells of, "online" after the page was told that the network has changed
// (without a desktop the browser does not tell it); the end of input ends the page.
import { createInterface } from "node:readline";
import { limit, openBrowser, tell, textOf } from "./lab-browser.mjs";

const [url, name, watched] = process.argv.slice(2);
const { browser, page, said } = await openBrowser(url, [
  `--use-file-for-fake-video-capture=${process.env.CAMERA}`,
  `--use-file-for-fake-audio-capture=${process.env.SOUND}`,
]);

/** Runs in the page: keeps when which picture was shown, and the latest counters of every stream. */
await page.addInitScript((who) => {
  if (globalThis.self !== globalThis.top) {
    globalThis.RTCPeerConnection = globalThis.top.watchPeers(globalThis.RTCPeerConnection);
    return;
  }
  const seen = { clicked: 0, frames: [], streams: {}, layers: {}, rungs: {}, control: "", steps: {} };
  globalThis.seen = seen;
  /** When something came to pass for the first time since Join was pressed. */
  const step = (what, at = performance.now()) => {
    if (seen.clicked > 0) seen.steps[what] ??= Math.round(at - seen.clicked);
  };
  const fetched = globalThis.fetch;
  globalThis.fetch = async (...request) => {
    const to = String(request[0]).replace(/^.*\/|\?.*$/g, "");
    const size = request[1]?.body?.size ?? request[1]?.body?.length ?? 0;
    step(`${to} asked (${size} B)`);
    const response = await fetched(...request);
    step(`${to} answered`);
    return response;
  };
  addEventListener(
    "click",
    (event) => {
      if (event.target.closest?.("form.lobby-join")) seen.clicked = performance.now();
    },
    true,
  );

  const known = new WeakSet();
  const shown = (video, now, height, { receiveTime, presentationTime } = {}) => {
    const tile = video.closest("[data-tile]")?.querySelector("[aria-label]");
    if (!who || !tile?.getAttribute("aria-label").startsWith(who)) return;
    if (receiveTime) step("picture whole", receiveTime);
    if (presentationTime) step("picture decoded", presentationTime);
    step("picture shown", now);
    seen.frames.push([Math.round(now), height]);
  };
  const frames = (video) => {
    const frame = (now, { height, receiveTime, presentationTime }) => {
      shown(video, now, height, { receiveTime, presentationTime });
      if (video.isConnected) video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    // It came before the page had a place for it.
    requestAnimationFrame((now) => shown(video, now, video.videoHeight));
  };
  new MutationObserver(() => {
    for (const video of document.querySelectorAll("video")) {
      if (known.has(video)) continue;
      known.add(video);
      frames(video);
    }
  }).observe(document, { childList: true, subtree: true });

  const peers = [];
  /** Makes connections of a page or a frame known. */
  globalThis.watchPeers = (Peer) =>
    class extends Peer {
      constructor(configuration) {
        super(configuration);
        const n = peers.push(this);
        this.addEventListener("iceconnectionstatechange", () => step(`${n} ice ${this.iceConnectionState}`));
        this.addEventListener("connectionstatechange", () => step(`${n} ${this.connectionState}`));
        this.addEventListener("track", ({ track }) => {
          track.addEventListener("unmute", () => step(`${n} ${track.kind} comes`));
        });
      }
    };
  globalThis.RTCPeerConnection = globalThis.watchPeers(globalThis.RTCPeerConnection);
  const Socket = globalThis.WebSocket;
  globalThis.WebSocket = class extends Socket {
    constructor(url) {
      super(url);
      step("channel asked");
      this.addEventListener("open", () => {
        step("channel open");
        seen.control = url;
      });
      this.addEventListener("message", ({ data }) => step(`${JSON.parse(data).type} heard`));
    }
    send(data) {
      step(`${JSON.parse(data).type} said`);
      super.send(data);
    }
  };
  const inbound = (s) => ({
    kind: s.kind,
    received: s.packetsReceived ?? 0,
    lost: s.packetsLost ?? 0,
    repaired: s.retransmittedPacketsReceived ?? 0,
    nacks: s.nackCount ?? 0,
    plis: s.pliCount ?? 0,
    freezes: s.freezeCount ?? 0,
    frozen_s: s.totalFreezesDuration ?? 0,
    decoded: s.framesDecoded ?? 0,
    dropped: s.framesDropped ?? 0,
    bytes: s.bytesReceived ?? 0,
    samples: s.totalSamplesReceived ?? 0,
    held_s: s.jitterBufferDelay ?? 0, // of all samples played
    played: s.jitterBufferEmittedCount ?? 0,
    concealed: (s.concealedSamples ?? 0) - (s.silentConcealedSamples ?? 0),
  });
  setInterval(async () => {
    for (const [i, peer] of peers.entries()) {
      if (peer.connectionState !== "connected") continue;
      const stats = await peer.getStats();
      for (const s of stats.values()) {
        if (s.type === "inbound-rtp") seen.streams[`${i} ${s.id}`] = inbound(s);
        if (s.type === "media-source" && s.kind === "video" && s.framesPerSecond)
          seen.layers.camera = { fps: s.framesPerSecond, height: s.height };
        if (s.type === "outbound-rtp" && s.kind === "video" && s.rid)
          seen.layers[s.rid] = {
            fps: s.framesPerSecond ?? 0,
            height: s.frameHeight ?? 0,
            limit: s.qualityLimitationReason,
          };
        if (s.type !== "transport") continue;
        const local = stats.get(stats.get(s.selectedCandidatePairId)?.localCandidateId);
        seen.rungs[i] = local?.relayProtocol ?? local?.protocol ?? "none";
      }
    }
  }, 250);
}, watched ?? "");

/** Presses a button as a person does: the pointer rests on it for a moment, and a press takes another, in ms. */
const manner = { restMS: 150, pressMS: 80 };
const press = async (button) => {
  const { x, y, width, height } = await button.boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.waitForTimeout(manner.restMS);
  await page.mouse.down();
  await page.waitForTimeout(manner.pressMS);
  await page.mouse.up();
};
const measured = () =>
  page.evaluate(async () => {
    await new Promise((resolve) => setTimeout(resolve, 300)); // until the counters are of now
    return { now: performance.now(), ...globalThis.seen };
  });
/** What the report tells of what happened. */
const events = async () => {
  await page.keyboard.press("i");
  const told = page.locator(".events li");
  await told.first().waitFor();
  const all = await told.allTextContents();
  await page.keyboard.press("Escape");
  return all;
};
try {
  await page.goto(url);
  await page.getByLabel("Your name").fill(name);
  if (watched) await page.getByRole("button", { name: "Stop camera" }).click();
  await page.locator(".way-ready").waitFor({ timeout: limit });
  await page.waitForTimeout(1000); // a person looks at the lobby before they go in
  await press(page.getByRole("button", { name: "Join now" }));
  await page.locator("#controls").waitFor({ timeout: limit });
  if (watched) await page.waitForFunction(() => globalThis.seen.frames.length > 0, undefined, { timeout: limit });
  tell(await measured());
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "online") await page.evaluate(() => globalThis.dispatchEvent(new Event("online")));
    const now = await measured();
    tell({ ...now, said, events: line === "report" ? await events() : [] });
  }
} catch (error) {
  tell({ error: String(error), text: await textOf(page), said });
  process.exitCode = 1;
} finally {
  await browser.close();
}
