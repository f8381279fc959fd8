// Measures, in a page, how far the test card's beep is from its flash as they
// are played: once a second its whole picture is white for 120 ms, exactly
// when a 1 kHz beep of 100 ms begins (client/testcard/README.md).
import type { Page } from "playwright-core";

/** Moments in ms on the page's clock. */
interface Moments {
  flashes: number[];
  beeps: number[];
}

interface Scope {
  moments: Moments;
  receivers: (kind: "audio" | "video") => RTCRtpReceiver[];
  slotOf: (name: string, source: string) => string;
}

/** Begins to watch a person's tile and to listen to their slot. */
export async function watchTestCard(page: Page, name: string): Promise<void> {
  await page.evaluate(
    async ([who, tile]) => {
      const scope = globalThis as unknown as Scope;
      const moments: Moments = { flashes: [], beeps: [] };
      scope.moments = moments;

      const video = document.querySelector<HTMLVideoElement>(tile as string);
      const slot = scope.slotOf(who as string, "mic");
      const receiver = scope.receivers("audio")[Number(slot.slice(1)) - 1];
      if (!video || !receiver) throw new Error(`no picture or no sound of ${who}`);

      // Pictures: the moment at which the first white one is shown.
      const canvas = new OffscreenCanvas(16, 9);
      const paint = canvas.getContext("2d", { willReadFrequently: true });
      let last = { white: true, at: 0, frames: 0 };
      const look: VideoFrameRequestCallback = (_, frame) => {
        paint?.drawImage(video, 0, 0, 16, 9);
        const pixels = paint?.getImageData(0, 0, 16, 9).data ?? new Uint8ClampedArray();
        const white = pixels.every((v) => v > 225);
        const at = frame.presentationTime;
        // Where pictures were left out before the flash, it may have begun in one of them.
        const seamless = frame.presentedFrames === last.frames + 1 && at - last.at < 70;
        if (white && !last.white && seamless) moments.flashes.push(at);
        last = { white, at, frames: frame.presentedFrames };
        video.requestVideoFrameCallback(look);
      };
      video.requestVideoFrameCallback(look);

      // Sound: an analyser keeps the last samples, so that a beep's beginning
      // is found to the millisecond however seldom the page gets to look.
      const context = new AudioContext({ sampleRate: 48_000 });
      await context.resume();
      const analyser = new AnalyserNode(context, { fftSize: 32_768 });
      const source = context.createMediaStreamSource(new MediaStream([receiver.track]));
      source.connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      const block = 240; // 5 ms: five periods
      const tone = (from: number) => {
        let [re, im] = [0, 0];
        for (let i = 0; i < block; i++) {
          const phase = (2 * Math.PI * 1000 * i) / 48_000;
          re += (samples[from + i] ?? 0) * Math.cos(phase);
          im += (samples[from + i] ?? 0) * Math.sin(phase);
        }
        return (2 * Math.hypot(re, im)) / block > 0.1;
      };
      const listen = () => {
        analyser.getFloatTimeDomainData(samples);
        const now = performance.now();
        let quiet = 0;
        for (let from = 0; from + block <= samples.length; from += block) {
          if (!tone(from)) {
            quiet++;
            continue;
          }
          if (quiet > 20) heard(now - ((samples.length - from) / 48_000) * 1000);
          quiet = 0;
        }
      };
      // The newest sample may be older than the look at it, never newer: of all looks the earliest is right.
      const heard = (at: number) => {
        const index = moments.beeps.findIndex((known) => Math.abs(known - at) < 300);
        if (index < 0) moments.beeps.push(at);
        else moments.beeps[index] = Math.min(at, moments.beeps[index] ?? at);
      };
      setInterval(listen, 50);
    },
    [name, `[data-tile]:has([aria-label^="${name}"]) video`],
  );
}

/** The distance from each flash to its beep in ms, below 0 where the sound was early. The last second's is not complete. */
export async function distances(page: Page): Promise<number[]> {
  const [moments, now] = await page.evaluate(
    () => [(globalThis as unknown as Scope).moments, performance.now()] as const,
  );
  return moments.flashes
    .filter((flash) => flash < now - 1200)
    .map((flash) => {
      const beeps = moments.beeps.map((beep) => beep - flash).sort((a, b) => Math.abs(a) - Math.abs(b));
      return beeps[0] ?? Number.NaN;
    })
    .filter((distance) => Math.abs(distance) < 500);
}

/** The middle of some numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
