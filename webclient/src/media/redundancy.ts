// When to send sound with redundancy (RFC 2198): each packet with what the one
// before carried. It takes twice the rate, and what is lost on the way to the
// router is there again without a round trip. Pure.

/** What the sender of the microphone has counted so far. */
export interface Sent {
  sent: number;
  /** Of these, what did not arrive at first: never, or after it was sent again. */
  missed: number;
}

/** What is remembered of the losses on the way to the router. */
export interface Redundancy {
  before: Sent;
  /** What was counted of late. */
  lately: Sent;
  on: boolean;
  /** Until when it stays on. */
  keptUntil: number;
}

/** Where it starts: nothing is lost. */
export const noRedundancy: Redundancy = {
  before: { sent: 0, missed: 0 },
  lately: { sent: 0, missed: 0 },
  on: false,
  keptUntil: 0,
};

export const bounds = {
  /** How much of what was counted is still remembered after one reading: it is taken over some ten seconds. */
  memory: 0.8,
  /** So many packets tell something: two seconds of speech. */
  enough: 100,
  /** The share of losses from which it is worth its rate. */
  worth: 0.01,
  /** How long it stays on after the losses that it was for, in ms. */
  keep: 30_000,
};

/** Takes a reading. Called every two seconds. */
export function redundancy(was: Redundancy, counted: Sent, now: number): Redundancy {
  const { before } = was;
  const anew = counted.sent < before.sent; // another connection
  const since = (what: keyof Sent) => (anew ? 0 : Math.max(0, counted[what] - before[what]));
  const more = (what: keyof Sent) => bounds.memory * was.lately[what] + since(what);
  const lately = { sent: more("sent"), missed: more("missed") };
  if (lately.sent >= bounds.enough && lately.missed >= bounds.worth * lately.sent)
    return { before: counted, lately, on: true, keptUntil: now + bounds.keep };
  return { ...was, before: counted, lately, on: was.on && now < was.keptUntil };
}
