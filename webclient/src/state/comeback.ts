// The pure rules of coming back.
import type { Code } from "../protocol/messages.ts";
import type { Ending } from "./control.ts";

/** How long to wait before the n-th attempt, in ms; chance keeps a crowd from coming back at one instant. */
export function backoff(n: number, chance: number = Math.random()): number {
  if (n === 0) return 0;
  return Math.min(8000, 300 * 2 ** (n - 1)) * (0.75 + chance / 2);
}

/**
 * What a control channel's end means for its session: the channel is opened
 * again, the session is gone and the participation continues by another, or
 * the participation is over.
 */
export function fates(ending: Ending): "again" | "gone" | "over" {
  if (ending.why === "farewell") return ["lost", "moved"].includes(ending.message.reason) ? "gone" : "over";
  if (ending.why === "refused") {
    const { code } = ending.message.problem;
    return ["session_unknown", "token_expired", "internal"].includes(code) ? "gone" : "over";
  }
  return "again";
}

/** Whether there is no meeting to come back to. */
export function hopeless(code: Code): boolean {
  return ["meeting_ended", "meeting_not_found", "bad_invitation", "wrong_passcode", "removed"].includes(code);
}

/** The first wait before a better rung is tried again, in ms, and the longest. */
export const climbing = { firstMS: 15_000, longestMS: 300_000 };

/** How long to wait after the n-th attempt at a better rung found none, from 0. */
export function climbWait(n: number): number {
  return Math.min(climbing.longestMS, climbing.firstMS * 2 ** n);
}
