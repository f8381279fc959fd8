// What a person is told of the meeting's happenings: seen as a toast, or only
// said to a screen reader.
import type { Notice } from "../state/room.ts";
import { within } from "./parts/names.ts";
import { problemWords, t } from "./text/text.ts";
import { announce, gather, type ToastKind, toast } from "./toasts.tsx";

/** Tells one notice. */
export function announceNotice(n: Notice, chatOpen: boolean): void {
  if (n.what === "joined" || (n.what === "left" && !n.removed)) {
    gather(within(n.name), n.what === "joined" ? joined : left);
    return;
  }
  const telling = tell(n, chatOpen);
  if (telling.shown) toast(telling.text, telling.kind ?? "info", telling.detail);
  else announce(telling.text);
}

const joined = ([name = "", ...more]: readonly string[]) =>
  more.length > 0 ? t().saidJoinedMany(name, more.length) : t().saidJoined(name);
const left = ([name = "", ...more]: readonly string[]) =>
  more.length > 0 ? t().saidLeftMany(name, more.length) : t().saidLeft(name);

interface Telling {
  text: string;
  detail?: string;
  kind?: ToastKind;
  /** Seen, not only said. */
  shown: boolean;
}

/** Puts a notice into words. */
function tell(n: Exclude<Notice, { what: "joined" }>, chatOpen: boolean): Telling {
  switch (n.what) {
    case "left":
      return { text: t().saidRemoved(within(n.name)), shown: true };
    case "chat":
      if (chatOpen) return { text: t().saidChat(n.chat.name, n.chat.text), shown: false };
      return { text: n.chat.name, detail: shorten(n.chat.text), shown: true };
    case "hand":
      if (n.mine) return { text: n.raised ? t().saidMyHandUp : t().saidMyHandDown, shown: false };
      return { text: n.raised ? t().saidHandUp(within(n.name)) : t().saidHandDown(within(n.name)), shown: n.raised };
    case "sharing":
      return { text: n.started ? t().saidShareStart(within(n.name)) : t().saidShareStop(within(n.name)), shown: false };
    case "stage":
      return { text: n.up ? t().saidUp : t().saidSentBack, shown: !n.up };
    case "path":
      return { text: n.lost ? t().saidPathLost(within(n.name)) : t().saidPathBack(within(n.name)), shown: false };
    case "muted":
      return { text: n.by ? t().saidMutedBy(within(n.by)) : t().saidMutedByHost, shown: true };
    case "refused": {
      const words = problemWords(n.problem.code);
      return { text: words.title, detail: words.remedy, kind: "problem", shown: true };
    }
  }
}

function shorten(text: string): string {
  const letters = [...text];
  return letters.length > 120 ? `${letters.slice(0, 119).join("")}…` : text;
}
