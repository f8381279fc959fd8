// One page joins a meeting and tells, on one line of JSON, what came of it:
// for the lab's tests of browsers behind firewalls. Whatever is written to
// standard input is answered by what the page sees at that moment; the end of
// input ends the page.
//
//   node lab-join.mjs URL
import { createInterface } from "node:readline";
import { limit, openBrowser, tell, textOf } from "./lab-browser.mjs";

const [url] = process.argv.slice(2);
const { browser, page, said } = await openBrowser(url);
await page.addInitScript(() => {
  const { peers } = Object.assign(globalThis.top, { peers: globalThis.top.peers ?? [] }); // of frames, too
  const Peer = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Peer {
    constructor(configuration) {
      super(configuration);
      peers.push(this);
    }
  };
});

/** What every connection that lives does now: its rung, and what it has decoded. */
const look = () =>
  page.evaluate(async () => {
    const seen = { rungs: [], pairs: [], frames: 0, energy: 0, made: globalThis.peers.length };
    for (const peer of globalThis.peers.filter((p) => p.connectionState === "connected")) {
      const stats = await peer.getStats();
      for (const stat of stats.values()) {
        if (stat.type === "inbound-rtp") {
          seen.frames += stat.framesDecoded ?? 0;
          seen.energy += stat.totalAudioEnergy ?? 0;
        }
        if (stat.type === "candidate-pair") {
          const [local, remote] = [stats.get(stat.localCandidateId), stats.get(stat.remoteCandidateId)];
          const way = `${local?.candidateType}/${local?.relayProtocol ?? local?.protocol} to ${remote?.address}:${remote?.port}`;
          const asked = `${stat.responsesReceived} of ${stat.requestsSent} answered`;
          seen.pairs.push(
            `${seen.rungs.length} ${way}: ${stat.state}, ${asked}, priority ${stat.priority}, ${stat.currentRoundTripTime} s`,
          );
        }
        if (stat.type !== "transport") continue;
        const pair = stats.get(stat.selectedCandidatePairId);
        const local = stats.get(pair?.localCandidateId);
        seen.rungs.push(local?.relayProtocol ?? local?.protocol ?? "none");
      }
    }
    return seen;
  });

const report = async () => {
  await page.keyboard.press("i");
  await page.getByRole("button", { name: "Copy as JSON" }).click();
  await page.keyboard.press("Escape");
  return JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
};

/**
 * Reads until the page has decoded more pictures and sound than before, over a
 * rung; sound_ms tells when sound came over a fresh set of connections.
 */
async function flowing() {
  const before = await look();
  const began = performance.now();
  let sound_ms = 0;
  for (;;) {
    const now = await look();
    // A fresh set of connections counts from nothing again.
    const fresh = now.made > before.made;
    if (fresh && now.energy > 0) sound_ms ||= Math.round(performance.now() - began);
    const grown = fresh ? 0 : before.frames;
    if (now.rungs.length > 1 && now.frames > grown + 10 && now.energy > 0) return { ...now, sound_ms };
    if (performance.now() > began + limit) throw new Error(`no media: ${JSON.stringify(now)}`);
    await page.waitForTimeout(50); // how often to look
  }
}

try {
  await page.goto(url);
  await page.getByLabel("Your name").fill("Page");
  await page.locator(".way-ready").waitFor({ timeout: limit });
  await page.getByRole("button", { name: "Join now" }).click();
  await page.locator("#controls").waitFor({ timeout: limit });
  tell({ joined: true, ...(await flowing()), report: await report() });
  for await (const _ of createInterface({ input: process.stdin })) {
    tell({ ...(await flowing()), report: await report() });
  }
} catch (error) {
  tell({ joined: false, error: String(error), text: await textOf(page), said });
  process.exitCode = 1;
} finally {
  await browser.close();
}
