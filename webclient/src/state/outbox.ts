// What one has written and not yet seen come back: every message comes back to
// its sender, so one that did not may have been lost with a control channel,
// and is said again on the next.
import { Value } from "../media/value.ts";

/** A message that has not come back. */
export interface Unsent {
  text: string;
}

/** Keeps what was said until it comes back. */
export class Outbox {
  /** What is waited for, in the order it was said. */
  readonly waiting = new Value<readonly Unsent[]>([]);

  add(text: string): void {
    this.waiting.update((all) => [...all, { text }]);
  }

  /** One's own message has come back. The router may have trimmed it: else it is the oldest. */
  heard(text: string): void {
    const all = this.waiting.get();
    if (all.length === 0) return;
    const at = all.findIndex((u) => u.text === text);
    this.waiting.set(all.filter((_, i) => i !== Math.max(0, at)));
  }

  /** Of what was waited for then, what still is. */
  still(then: readonly Unsent[]): readonly Unsent[] {
    return this.waiting.get().filter((u) => then.includes(u));
  }
}
