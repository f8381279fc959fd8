// Phase 2's choice: a pure function of what was measured. Round trip first;
// load and the operator's weight count as milliseconds on top; and whoever
// comes back keeps the old zone unless another wins clearly.
import type { Controller, ProbeAnswer, Zone } from "../protocol/messages.ts";

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
  /** Why it failed for certain, in words. */
  error?: string;
}

/** Milliseconds that a full zone counts more than an idle one; the penalty grows with the square of the load. */
export const loadPenaltyMS = 60;

/** What another zone must win by, in ms and as a share, before a participant who comes back changes zones. */
export const switching = { ms: 10, share: 1 / 3 };

/** The middle of some numbers; 0 of none. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/** The mean distance of one round trip to the next. */
export function jitter(rtts: readonly number[]): number {
  if (rtts.length < 2) return 0;
  let sum = 0;
  for (let i = 1; i < rtts.length; i++) sum += Math.abs((rtts[i] ?? 0) - (rtts[i - 1] ?? 0));
  return sum / (rtts.length - 1);
}

/** Whether a controller takes new participants. */
export function usable(record: ProbeRecord): boolean {
  return record.error === undefined && record.rtts.length > 0 && record.answer?.state === "open";
}

/** The cost of a controller in ms: lower is better. */
export function cost(record: ProbeRecord): number {
  const load = Math.min(1, Math.max(0, record.answer?.load ?? record.zone.load));
  const weight = record.answer?.weight ?? record.zone.weight ?? 0;
  return median(record.rtts) + weight + loadPenaltyMS * load * load;
}

/**
 * Orders the usable controllers, best first; the rest of the list is where a
 * join goes on when the first refuses. previous is the zone of an earlier join.
 */
export function choose(records: readonly ProbeRecord[], previous = ""): ProbeRecord[] {
  const order = new Map(records.map((r, i) => [r, i]));
  const ranked = records.filter(usable).sort((a, b) => cost(a) - cost(b) || (order.get(a) ?? 0) - (order.get(b) ?? 0));
  const best = ranked[0];
  const old = ranked.find((r) => r.zone.id === previous);
  if (!best || !old || best.zone.id === previous) return ranked;
  const gain = cost(old) - cost(best);
  if (gain >= switching.ms && gain >= cost(old) * switching.share) return ranked;
  return [...ranked.filter((r) => r.zone.id === previous), ...ranked.filter((r) => r.zone.id !== previous)];
}

/**
 * Says how long to go on waiting, in ms since the probes began, for those that
 * have not answered: a silent one has already taken as long as it has, so once
 * that alone costs more than the best known, it cannot win. 0 when all are in.
 */
export function deadline(records: readonly ProbeRecord[], previous = ""): number {
  const silent = records.filter((r) => r.error === undefined && r.rtts.length === 0);
  const best = choose(records, previous)[0];
  if (!best) return silent.length === 0 ? 0 : Number.POSITIVE_INFINITY;
  // A first answer takes TCP, TLS and a request: three round trips, at least one on a connection that is kept.
  const rounds = 3;
  const most = Math.max(0, ...silent.map((r) => cost(best) - (r.zone.weight ?? 0)));
  return silent.length === 0 ? 0 : most * rounds;
}
