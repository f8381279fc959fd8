import type { Chat } from "../../protocol/messages.ts";

/** How far apart two messages of one person are told as one, in ms. */
const togetherMS = 5 * 60_000;

/** Whether name and time stand over a message: over the first of several in a row, and after a pause. */
export function begins(before: Chat | undefined, said: Chat): boolean {
  if (before?.from !== said.from || (before.panel ?? false) !== (said.panel ?? false)) return true;
  return Date.parse(said.at) - Date.parse(before.at) > togetherMS;
}
