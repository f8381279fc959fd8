// Measures, in a page, how long a person was neither seen nor heard: the time
// between one picture and the next on their tile, whichever element shows it,
// and between one packet of sound and the next among those that are played.
import type { Page } from "playwright-core";

interface Scope {
  gaps: Gaps;
  players: HTMLMediaElement[];
  peers: RTCPeerConnection[];
}

/** What was measured, in ms; times are on the page's clock (performance.now). */
export interface Gaps {
  frames: number[];
  sounds: number[];
  /** The most players that were to be heard at one time: each session has four. */
  heard: number;
  /** How often the tile was looked at and had no picture at all. */
  bare: number;
}

/** Begins to watch a person's tile and everything that is played. */
export async function watchGaps(page: Page, name: string): Promise<void> {
  await page.evaluate((who) => {
    const scope = globalThis as unknown as Scope;
    const gaps: Gaps = { frames: [], sounds: [], heard: 0, bare: 0 };
    scope.gaps = gaps;
    const watched = new WeakSet<HTMLVideoElement>();
    const packets = new Map<string, number>();
    const look = () => {
      for (const video of document.querySelectorAll<HTMLVideoElement>(
        `[data-tile]:has([aria-label^="${who}"]) video`,
      )) {
        if (watched.has(video)) continue;
        watched.add(video);
        const frame = (now: number) => {
          if (!video.isConnected) return;
          gaps.frames.push(now);
          video.requestVideoFrameCallback(frame);
        };
        video.requestVideoFrameCallback(frame);
      }
      if (!document.querySelector(`[data-tile]:has([aria-label^="${who}"]) video.showing`)) gaps.bare++;
      const playing = scope.players.filter((p) => p.tagName === "AUDIO" && !p.muted && p.srcObject !== null);
      gaps.heard = Math.max(gaps.heard, playing.length);
      const tracks = new Set(
        playing.flatMap((p) => (p.srcObject instanceof MediaStream ? p.srcObject.getTracks() : [])),
      );
      for (const peer of scope.peers) {
        for (const receiver of peer.connectionState === "closed" ? [] : peer.getReceivers()) {
          if (!tracks.has(receiver.track)) continue;
          void receiver.getStats().then((stats) => {
            for (const stat of stats.values()) {
              if (stat.type !== "inbound-rtp") continue;
              if (stat.packetsReceived > (packets.get(receiver.track.id) ?? 0)) gaps.sounds.push(performance.now());
              packets.set(receiver.track.id, stat.packetsReceived);
            }
          });
        }
      }
    };
    setInterval(look, 40);
  }, name);
}

/** What has been measured so far. */
export function gapsOf(page: Page): Promise<Gaps> {
  return page.evaluate(() => (globalThis as unknown as Scope).gaps);
}

/** The longest time between neighbours, from a moment on. */
export function longest(times: readonly number[], from = 0): number {
  let most = 0;
  for (let i = 1; i < times.length; i++) {
    const [a, b] = [times[i - 1] ?? 0, times[i] ?? 0];
    if (b >= from) most = Math.max(most, b - a);
  }
  return Math.round(most);
}
