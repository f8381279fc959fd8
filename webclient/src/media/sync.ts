// Lip sync. A person's sound and picture travel on different connections, so
// the browser cannot know that they belong together. The router tells, per
// slot, how RTP time maps to its own clock; the receivers tell which RTP time
// they played when. The difference is each slot's play-out delay, and the
// earlier of the two is held back by its jitter buffer's target.
import type { SlotSync } from "../protocol/messages.ts";

/** What a receiver played: getSynchronizationSources()[0]. */
export interface Played {
  rtpTimestamp: number;
  /** When it was played, in milliseconds of any steady local clock. */
  timestamp: number;
}

/** The signed distance of two 32-bit RTP timestamps (RFC 3550 §5.1: they wrap). */
export function rtpDistance(from: number, to: number): number {
  return (to - from) | 0;
}

/**
 * The time from capture to play-out, up to the unknown but common offset
 * between the router's clock and ours; so only differences mean anything.
 */
export function playoutDelay(played: Played, sync: SlotSync): number {
  const captured = sync.at_ms + (rtpDistance(sync.rtp, played.rtpTimestamp) * 1000) / sync.clock_rate;
  return played.timestamp - captured;
}

/** Steering of one person's sound against picture. */
export interface Steering {
  /** Smoothed skew in ms: above 0 the picture is later than the sound. */
  skew: number;
  /** How much is held back: above 0 the sound, below 0 the picture. */
  hold: number;
  samples: number;
}

/** Where steering starts. */
export const unsteered: Steering = { skew: 0, hold: 0, samples: 0 };

/** The limits of the control loop, in milliseconds. */
export const limits = {
  /** ITU-R BT.1359 has people notice at 45 early and 125 late; aim well inside. */
  deadband: 15,
  /** The most that a buffer's target moves per step, so that nobody hears it. */
  step: 40,
  /** The most that either is held back. */
  hold: 500,
  /** A larger skew is a clock that jumped or a slot that was switched: ignored. */
  absurd: 3000,
};

/** What the jitter buffers hold now, in milliseconds. */
export interface Buffers {
  audio: number;
  video: number;
}

/**
 * Takes one measurement and says what to hold back from now on. Pure; called
 * twice a second per person.
 */
export function steer(before: Steering, skew: number, buffers: Buffers): Steering {
  if (!Number.isFinite(skew) || Math.abs(skew) > limits.absurd) return before;
  const smooth = before.samples === 0 ? skew : before.skew + 0.4 * (skew - before.skew);
  const samples = Math.min(before.samples + 1, 1000);
  if (samples < 3 || Math.abs(smooth) <= limits.deadband) return { ...before, skew: smooth, samples };
  const change = clamp(smooth * 0.35, limits.step);
  let hold = before.hold + change;
  // A target below what the buffer holds anyway does nothing: begin there.
  if (change > 0 && before.hold >= 0 && before.hold < buffers.audio) hold = buffers.audio + change;
  if (change < 0 && before.hold <= 0 && -before.hold < buffers.video) hold = -buffers.video + change;
  // Releasing what is held: once the target is under the natural level, let go of it.
  if (before.hold > 0 && hold < 0) hold = 0;
  if (before.hold < 0 && hold > 0) hold = 0;
  return { skew: smooth, hold: clamp(hold, limits.hold), samples };
}

/** The jitter buffer targets that a steering asks for; null leaves it to the browser. */
export function targets(s: Steering): { audio: number | null; video: number | null } {
  return {
    audio: s.hold > 0 ? Math.round(s.hold) : null,
    video: s.hold < 0 ? Math.round(-s.hold) : null,
  };
}

function clamp(x: number, most: number): number {
  return Math.max(-most, Math.min(most, x));
}
