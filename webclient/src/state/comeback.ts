// The pure rules of coming back.
import type { Ending } from "./control.ts";

/** How long to wait before the n-th attempt, in ms; chance keeps a crowd from coming back at one instant. */
export function backoff(n: number, chance: number = Math.random()): number {
  if (n === 0) return 0;
  return Math.min(8000, 300 * 2 ** (n - 1)) * (0.75 + chance / 2);
}

/** Whether a control channel's ending is the participation's end, so that there is nothing to come back to. */
export function finalFor(ending: Ending): boolean {
  if (ending.why === "farewell") return ending.message.reason !== "lost";
  if (ending.why === "refused")
    return !["session_unknown", "token_expired", "internal"].includes(ending.message.problem.code);
  return false;
}
