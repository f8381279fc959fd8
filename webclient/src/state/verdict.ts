// Which zone was chosen and why, in words for the report, by the same rules as
// the native client's (client/connect/verdict.go). Pure.
import { jitter, median, ownBonus, type ProbeRecord, penalty, score } from "./choose.ts";

/** Says it of the controllers that answered, the chosen one first. */
export function verdict(order: readonly ProbeRecord[], previous: string): string {
  const winner = order[0];
  if (!winner) return "no zone answered";
  const chosen = `zone ${winner.zone.id}: ${reckoning(winner)}`;
  const next = order.find((r) => r.zone.id !== winner.zone.id);
  if (!next) return `${chosen}; no other zone had answered`;
  const other = `zone ${next.zone.id}`;
  if (winner.zone.id === previous && score(next) < score(winner))
    return `${chosen}; kept, because ${other} is not better by 10 ms and a third: ${reckoning(next)}`;
  if (next.zone.id === previous)
    return `${chosen}; clearly better than ${other}, which it was before: ${reckoning(next)}`;
  return `${chosen}; next best ${other}: ${reckoning(next)}`;
}

/** Says what a controller's score is made of. */
function reckoning(r: ProbeRecord): string {
  const parts = [`${Math.round(median(r.rtts))} ms`];
  const add = (what: string, ms: number) => {
    if (Math.abs(ms) >= 0.5) parts.push(`${what} ${ms > 0 ? "+" : ""}${Math.round(ms)}`);
  };
  add("jitter", jitter(r.rtts));
  add("load", penalty("open", r.answer?.load ?? 0, 0));
  add("weight", r.answer?.weight ?? 0);
  add("own network", -ownBonus(r));
  if (r.answer && r.answer.state !== "open") parts.push(`it says that it is ${r.answer.state}`);
  return parts.join(", ");
}
