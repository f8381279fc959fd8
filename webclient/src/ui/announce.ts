// What a person is told of the meeting's happenings: seen as a toast, or only
// said to a screen reader.
import type { Notice } from "../state/room.ts";
import { problemWords, t } from "./text/text.ts";
import { announce, toast } from "./toasts.tsx";

/** Tells one notice. */
export function announceNotice(n: Notice, chatOpen: boolean): void {
  switch (n.what) {
    case "joined":
      return toast(t().saidJoined(n.name));
    case "left":
      return toast(n.removed ? t().saidRemoved(n.name) : t().saidLeft(n.name));
    case "chat":
      if (chatOpen) return announce(t().saidChat(n.chat.name, n.chat.text));
      return toast(n.chat.name, "info", shorten(n.chat.text));
    case "hand":
      if (n.mine) return announce(n.raised ? t().saidMyHandUp : t().saidMyHandDown);
      return n.raised ? toast(t().saidHandUp(n.name)) : announce(t().saidHandDown(n.name));
    case "sharing":
      return announce(n.started ? t().saidShareStart(n.name) : t().saidShareStop(n.name));
    case "path":
      return announce(n.lost ? t().saidPathLost(n.name) : t().saidPathBack(n.name));
    case "muted":
      return toast(n.by ? t().saidMutedBy(n.by) : t().saidMutedByHost);
    case "refused": {
      const words = problemWords(n.problem.code);
      return toast(words.title, "problem", words.remedy);
    }
  }
}

function shorten(text: string): string {
  const letters = [...text];
  return letters.length > 120 ? `${letters.slice(0, 119).join("")}…` : text;
}
