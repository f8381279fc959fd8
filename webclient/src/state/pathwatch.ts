// Notices what died before the browser does: it waits 2.5 s and more until it
// calls a connection disconnected. While we send, the router answers with
// reports and feedback all the time, and it answers pings on the control
// channel. Nothing on either: the router is dead. Nothing by media alone: that
// path was cut. Nothing by the channel alone: media goes on. Pure.

/** How often to look, in ms. */
export const lookMS = 150;

/** The measures of silence, in ms. */
export const silence = {
  /** Silence of media from which the router is asked for a sign of life. */
  doubt: 300,
  /** Silence of media and of the channel that is a dead router's, at least. */
  dead: 500,
  /** The same, when the router has closed the channel and refuses another. */
  refused: 250,
  /** Silence of media alone that is a cut path's, at least. */
  cut: 700,
  /** The channel's last word must be so much later than media's for the path to be cut. */
  outlived: 300,
};

/** Where a router refuses: silence of so many times the longest gap of late. */
const gapsRefused = 1.5;

/** A path is cut after so many times its longest gap of late: one lost report is not a dead path. */
const gaps = 3;

/** A gap between two looks after which nothing is known: the machine slept, or the page did. */
const sleptMS = 1200;

/** One reading of a connection's counters. */
export interface Reading {
  at: number;
  bytesIn: number;
  /** Packets of media that we sent. */
  sent: number;
}

/** What is remembered of one connection. */
export interface Watched {
  /** When it was last looked at. */
  at: number;
  /** When something last came. */
  heardAt: number;
  bytesIn: number;
  /** What had been sent when something last came. */
  sentThen: number;
  /** The longest time between two arrivals, forgotten slowly. */
  gap: number;
  /** How many looks in a row found something new before the silence; 0 makes no verdict. */
  lively: number;
}

/** What is known of the control channel. */
export interface Channel {
  /** When it last brought something. */
  heardAt: number;
  /** Since when it is waited for: the oldest unanswered ping, or its loss; 0 when nothing is. */
  waitingSince: number;
  /** It was closed, and the router refuses another. */
  refused: boolean;
  rtt: number;
}

/** How it stands with a session. */
export type Verdict = "well" | "doubt" | "cut" | "dead";

/** The least that must have been heard before, and sent since, for silence to mean something. */
const least = { lively: 3, sent: 3 };

/** Takes a reading. */
export function watchPath(before: Watched | undefined, now: Reading): Watched {
  const { at, bytesIn, sent } = now;
  const news = { at, heardAt: at, bytesIn, sentThen: sent };
  const anew = !before || bytesIn < before.bytesIn || sent < before.sentThen;
  if (anew || at - before.at > sleptMS) return { ...news, gap: 0, lively: 0 };
  if (bytesIn === before.bytesIn) return { ...before, at };
  return { ...news, gap: Math.max(at - before.heardAt, before.gap * 0.9), lively: before.lively + 1 };
}

/** Judges by what was last seen of media and of the channel. */
export function judge(watched: Watched, now: Reading, channel: Channel): Verdict {
  const quiet = now.at - watched.heardAt;
  const unanswered = channel.waitingSince > 0 ? now.at - channel.waitingSince : 0;
  if (channel.refused && quiet >= Math.max(silence.refused, gapsRefused * watched.gap)) return "dead";
  if (quiet >= silence.dead && unanswered >= Math.max(silence.dead, 3 * channel.rtt)) return "dead";
  const isCut =
    watched.lively >= least.lively &&
    quiet >= Math.max(silence.cut, gaps * watched.gap) &&
    now.sent - watched.sentThen >= least.sent &&
    channel.heardAt > watched.heardAt + silence.outlived;
  if (isCut) return "cut";
  return quiet >= silence.doubt ? "doubt" : "well";
}
