// Whether somebody is at the page.

/** What somebody does who is there. */
const signs = ["pointermove", "pointerdown", "keydown"] as const;

/** Whether the page can be seen. */
export function shown(): boolean {
  return globalThis.document?.visibilityState !== "hidden";
}

/** Calls f at every sign of somebody, and when the page is shown again, until signal aborts. */
export function watchPerson(f: () => void, signal: AbortSignal): void {
  for (const sign of signs) globalThis.addEventListener?.(sign, f, { signal, passive: true, capture: true });
  globalThis.document?.addEventListener?.("visibilitychange", () => shown() && f(), { signal });
}
