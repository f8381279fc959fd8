// Who is large in the active speaker view: the loudest other, but nobody is
// put there for a cough, and nobody is taken away while still speaking.
import type { Speaker } from "../protocol/messages.ts";

/** How long another must be the loudest before the view changes, in ms. */
export const settleMS = 700;

/** How long the view stays as it is after a change, in ms. */
export const holdMS = 2000;

/** The view's memory. */
export interface Focus {
  participant: string;
  since: number;
  candidate: string;
  candidateSince: number;
}

/** Nobody yet. */
export const noFocus: Focus = { participant: "", since: 0, candidate: "", candidateSince: 0 };

/** Takes the speakers of this moment, loudest first, without oneself. */
export function refocus(before: Focus, speakers: readonly Speaker[], present: ReadonlySet<string>, now: number): Focus {
  const gone = before.participant !== "" && !present.has(before.participant);
  const focus = gone ? { ...before, participant: "" } : before;
  const loudest = speakers.find((s) => present.has(s.participant))?.participant ?? "";
  if (loudest === "" || loudest === focus.participant) return { ...focus, candidate: "", candidateSince: now };
  if (focus.participant === "") return { participant: loudest, since: now, candidate: "", candidateSince: now };
  const candidateSince = loudest === focus.candidate ? focus.candidateSince : now;
  const settled = now - candidateSince >= settleMS && now - focus.since >= holdMS;
  const oldIsQuiet = !speakers.some((s) => s.participant === focus.participant);
  if (settled || (oldIsQuiet && now - candidateSince >= settleMS / 2)) {
    return { participant: loudest, since: now, candidate: "", candidateSince: now };
  }
  return { ...focus, candidate: loudest, candidateSince };
}
