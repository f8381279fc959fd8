// Tells speech from a cough or a door: something loud that goes on for a while.

/** How loud speech is at least, as media/level.ts measures, and how long it goes on, in ms. */
const loud = 0.5;
const lastingMS = 600;

/** Told levels as they change, it says once that somebody talks. */
export class Talking {
  #since: number | null = null;
  #said = false;

  /** Takes a level; true when it has been that of speech for long enough, for the first time. */
  heard(level: number, nowMS: number): boolean {
    if (level < loud) this.#since = null;
    else this.#since ??= nowMS;
    if (this.#said || this.#since === null || nowMS - this.#since < lastingMS) return false;
    this.#said = true;
    return true;
  }
}
