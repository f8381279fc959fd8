// A level meter for the microphone's preview.
import { every, type Value } from "./value.ts";

/** Turns samples into a level from 0 (silent) to 1 (loud), on a scale of decibels as people hear. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const s of samples) sum += s * s;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  if (rms === 0) return 0;
  const db = 20 * Math.log10(rms);
  return Math.min(1, Math.max(0, (db + 55) / 45));
}

/** Measures a track into a value until the signal aborts. */
export function measure(track: MediaStreamTrack, level: Value<number>, signal: AbortSignal): void {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  every(
    66,
    () => {
      if (context.state === "suspended") void context.resume().catch(() => {});
      analyser.getFloatTimeDomainData(samples);
      const now = levelOf(samples);
      level.update((before) => (now > before ? now : before * 0.8 + now * 0.2)); // quick up, slow down
    },
    signal,
  );
  signal.addEventListener("abort", () => {
    level.set(0);
    void context.close().catch(() => {});
  });
}

/** Plays a short chime on a speaker, so that a person can hear which one it is. */
export async function chime(speaker: string): Promise<void> {
  const context = new AudioContext();
  const sink = context as AudioContext & { setSinkId?: (id: string) => Promise<void> };
  await sink.setSinkId?.(speaker).catch(() => {});
  const gain = context.createGain();
  gain.connect(context.destination);
  for (const [i, hz] of [523.25, 659.25, 783.99].entries()) {
    const at = context.currentTime + 0.05 + i * 0.16;
    const tone = context.createOscillator();
    tone.frequency.value = hz;
    tone.connect(gain);
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.18, at + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.3);
    tone.start(at);
    tone.stop(at + 0.32);
    if (i === 2) tone.onended = () => void context.close().catch(() => {});
  }
}
