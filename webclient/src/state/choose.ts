// Phase 2's choice: a pure function of what was measured, by the same rules
// and numbers as the native client's (client/connect/choose.go). Scores are
// in milliseconds of round trip.
import type { Controller, ProbeAnswer, Zone, ZoneStatus } from "../protocol/messages.ts";

/** What is known of one controller. */
export interface ProbeRecord {
  zone: Zone;
  controller: Controller;
  /** Round trips of requests on the warm connection, in ms. */
  rtts: number[];
  dnsMS: number;
  connectMS: number;
  tlsMS: number;
  /** The latest answer; absent until there is one. */
  answer?: ProbeAnswer;
  /** Why it does not answer, or no longer, in words. */
  error?: string;
  /** Nothing more is to come. */
  done?: boolean;
}

/** The measures of the choice. */
export const measures = {
  loadFrom: 0.5, // load up to which a zone costs nothing
  loadPenalty: 100, // what a full zone costs
  shutPenalty: 1e5, // a zone that says it takes nobody is a last resort
  keepMS: 10, // the old zone is kept unless a new one is better by this,
  keepShare: 2 / 3, // and its score is at most this share of the old one's
  wantSamples: 3, // round trips of each zone in the running
  ownMS: 20,
  clearMS: 10, // a zone this much,
  clearShare: 1.5, // and this many times slower than the winner is out of it
  firstAnswer: 4, // round trips to a first answer at most: TCP, TLS, request
  firstLeewayMS: 60,
  budgetMS: 5500,
};

/** The median; of an even number the lower one; 0 of none. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? 0;
}

/** The mean difference between one round trip and the next. */
export function jitter(rtts: readonly number[]): number {
  if (rtts.length < 2) return 0;
  let sum = 0;
  for (let i = 1; i < rtts.length; i++) sum += Math.abs((rtts[i] ?? 0) - (rtts[i - 1] ?? 0));
  return sum / (rtts.length - 1);
}

/** What a controller's zone is worth to this client; less is better. */
export function score(r: ProbeRecord): number {
  return median(r.rtts) + jitter(r.rtts) + penaltyOf(r);
}

/** The part of a controller's score that does not depend on the network; before an answer, as web knows it. */
function penaltyOf(r: ProbeRecord): number {
  const { state, load, weight } = r.answer ?? { state: "open", load: r.zone.load, weight: r.zone.weight };
  return penalty(state, load, weight ?? 0) - ownBonus(r);
}

/** What an organisation's own zone is preferred by, for those in its networks, unless another is clearly nearer. */
export const ownBonus = (r: ProbeRecord): number => (r.zone.own ? measures.ownMS : 0);

/** What a zone's state, load and weight add to a score. */
export function penalty(state: ZoneStatus, load: number, weight: number): number {
  const over = (Math.min(load, 1) - measures.loadFrom) / (1 - measures.loadFrom);
  return weight + (over > 0 ? measures.loadPenalty * over * over : 0) + (state === "open" ? 0 : measures.shutPenalty);
}

const answered = (r: ProbeRecord): boolean => r.rtts.length > 0;

/** The score that takes the place of an old one. */
const mustBeat = (old: number): number => Math.min(old - measures.keepMS, old * measures.keepShare);

/**
 * Orders the controllers that have answered, best first: the winner, the
 * others of its zone, the next best zone, and so on. previous is the zone that
 * the participant comes from: it is kept unless another is better by 10 ms and
 * by a third, so that nobody is moved for nothing.
 */
export function choose(records: readonly ProbeRecord[], previous = ""): ProbeRecord[] {
  const order = records.filter(answered);
  const best = new Map<string, number>();
  for (const r of order) best.set(r.zone.id, Math.min(best.get(r.zone.id) ?? Number.POSITIVE_INFINITY, score(r)));
  const old = best.get(previous);
  const kept = old !== undefined && ![...best.values()].some((s) => s <= mustBeat(old));
  const rank = (r: ProbeRecord): number =>
    kept && r.zone.id === previous ? Number.NEGATIVE_INFINITY : (best.get(r.zone.id) ?? 0);
  return order.sort((a, b) => {
    if (a.zone.id === b.zone.id) return score(a) - score(b) || compare(a.controller.id, b.controller.id);
    return rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : compare(a.zone.id, b.zone.id);
  });
}

/** Whether the choice can be made, elapsed ms after probing began: no other zone could still turn out better. */
export function decided(records: readonly ProbeRecord[], previous: string, elapsed: number): boolean {
  const [winner, ...others] = choose(records, previous);
  if (!winner) return false;
  let contested = false;
  for (const r of others) {
    if (r.zone.id === winner.zone.id || r.done || hopeless(r, winner, previous)) continue;
    contested = true;
    if (r.rtts.length < measures.wantSamples) return false;
  }
  if (contested && !winner.done && winner.rtts.length < measures.wantSamples) return false;
  return elapsed >= patience(records, previous);
}

/** Whether r answered so much slower than the winner that more samples would not change the choice. */
function hopeless(r: ProbeRecord, winner: ProbeRecord, previous: string): boolean {
  if (r.zone.id === previous) return false;
  const optimistic = Math.min(...r.rtts) + penaltyOf(r);
  return optimistic > score(winner) * measures.clearShare + measures.clearMS;
}

/** How long after the beginning, in ms, a silent zone could still give a first answer that makes it the better one. */
export function patience(records: readonly ProbeRecord[], previous: string): number {
  const order = choose(records, previous);
  const winner = order[0];
  if (!winner) return measures.budgetMS;
  const heard = new Set(order.map((r) => r.zone.id));
  let longest = 0;
  for (const r of records) {
    if (r.done || heard.has(r.zone.id)) continue;
    const mine = score(winner);
    const comesFrom = r.zone.id === previous; // wins even when it is somewhat slower
    const beat = comesFrom
      ? Math.max(mine + measures.keepMS, mine / measures.keepShare)
      : winner.zone.id === previous
        ? mustBeat(mine)
        : mine;
    const rtt = beat - penaltyOf(r);
    if (rtt > 0) longest = Math.max(longest, rtt * measures.firstAnswer + measures.firstLeewayMS);
  }
  return Math.min(longest, measures.budgetMS);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
