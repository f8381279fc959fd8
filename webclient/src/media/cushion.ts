// How long to hold back sound and pictures so that what was lost on the way
// can be asked for again and still come in time. Chromium's jitter buffers
// learn from what comes late, but not that a repair takes a round trip: it
// would be shown late, or never. Pure.

/** What the receivers of a session have counted so far. */
export interface Arrivals {
  received: number;
  lost: number;
  /** Requests for packets that were missing. */
  nacks: number;
}

/** What is remembered of the losses on the way from the router. */
export interface Cushion {
  before: Arrivals;
  /** What was counted of late. */
  lately: Arrivals;
  /** How often there is to be time to ask for what is lost. */
  rounds: number;
  /** Until when that does not become less. */
  keptUntil: number;
  /** The longest round trip of late, in ms: a queue that was full is empty again soon. */
  rttMS: number;
  /** How long everything is held back, in ms. */
  ms: number;
}

/** Where it starts: nothing is lost. */
export const noCushion: Cushion = {
  before: { received: 0, lost: 0, nacks: 0 },
  lately: { received: 0, lost: 0, nacks: 0 },
  rounds: 0,
  keptUntil: 0,
  rttMS: 0,
  ms: 0,
};

export const measures = {
  /** How much of what was counted is still remembered after one reading: it is taken over some five seconds. */
  memory: 0.9,
  /** So many packets tell something. */
  enough: 50,
  /** The share that is lost on any path now and then. */
  negligible: 0.002,
  /** Packets that a picture consists of, in round numbers. */
  perPicture: 10,
  /** The share of pictures that may come too late. */
  tooLate: 0.01,
  maxRounds: 3,
  /** What a request and its answer take beside the round trip, in ms. */
  answer: 25,
  most: 400,
  /** How long there is time for as many rounds after the losses that they were for, in ms. */
  keep: 20_000,
};

/** How often one must be able to ask, where requests and their answers are lost like anything else. */
export function rounds(loss: number): number {
  if (loss < measures.negligible) return 0;
  let late = measures.perPicture * loss;
  for (let n = 1; n < measures.maxRounds; n++) {
    late *= 2 * loss;
    if (late <= measures.tooLate) return n;
  }
  return measures.maxRounds;
}

/** Takes a reading. Called twice a second. */
export function cushion(was: Cushion, counted: Arrivals, rttMS: number, now: number): Cushion {
  const { before } = was;
  const anew = counted.received < before.received; // another connection, or a receiver that began anew
  const since = (what: keyof Arrivals) => (anew ? 0 : Math.max(0, counted[what] - before[what]));
  const more = (what: keyof Arrivals) => measures.memory * was.lately[what] + since(what);
  const lately = { received: more("received"), lost: more("lost"), nacks: more("nacks") };
  const all = lately.received + lately.lost;
  // What was repaired may not count as lost, and what was lost in a row is asked for at once.
  const loss = all < measures.enough ? 0 : Math.max(lately.lost, lately.nacks) / all;
  const need = rounds(loss);
  const kept = need < was.rounds && now < was.keptUntil;
  const keptUntil = need >= was.rounds ? now + measures.keep : was.keptUntil;
  const longest = Math.max(rttMS, measures.memory * was.rttMS);
  const allowed = kept ? was.rounds : need;
  const ms = Math.min(measures.most, Math.round(allowed * (longest + measures.answer)));
  return { before: counted, lately, rounds: allowed, keptUntil, rttMS: longest, ms };
}
