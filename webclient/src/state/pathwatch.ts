// Notices a media path that died in mid-call before the browser does: it waits
// 2.5 s and more until it calls a connection disconnected. While we send, the
// router answers with reports and feedback all the time, so that nothing at
// all from it for longer than that means that the path is dead, as long as
// the control channel shows that the network is not. Pure.

/** How often to look, in ms. */
export const lookMS = 200;

/** Silence after which a path counts as dead at the earliest, in ms. */
export const silentMS = 1000;

/** And at least so many times the longest gap of late: one lost report is not a dead path. */
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

/** Whether the path is dead. controlAt is when the control channel last brought something. */
export function isDead(watched: Watched, now: Reading, controlAt: number): boolean {
  const silent = now.at - watched.heardAt;
  return (
    watched.lively >= least.lively &&
    silent >= Math.max(silentMS, gaps * watched.gap) &&
    now.sent - watched.sentThen >= least.sent &&
    controlAt > watched.heardAt + silentMS / 2
  );
}
