// The operator's view: the status of the whole system and what has happened, asked of web again and again.
import type {
  DrainServer,
  DrainState,
  EventList,
  Problem,
  Event as SystemEvent,
  SystemStatus,
} from "../protocol/messages.ts";
import { ProblemError } from "../protocol/problems.ts";
import { request } from "./api.ts";

const pause = 1000; // ms between two looks
const pauseAfterFailure = 3000;
const keptEvents = 200;

/** What the page shows. */
export interface View {
  status: SystemStatus | null;
  /** The latest first. */
  events: readonly SystemEvent[];
  /** Why the last look failed, null if it did not. The picture is then that of the last one that did not. */
  problem: Problem | null;
}

/** Looks at the system until the signal ends. A key that web does not take ends it too. */
export async function watchSystem(key: string, show: (view: View) => void, signal: AbortSignal): Promise<void> {
  let view: View = { status: null, events: [], problem: null };
  let last = 0; // the id of the latest event; 0 asks for all that are kept
  while (!signal.aborted) {
    try {
      const status = await request<SystemStatus>("/api/v1/status", "web_unreachable", { bearer: key, signal });
      const path = `/api/v1/events?after=${last}&limit=1000`;
      const { events } = await request<EventList>(path, "web_unreachable", { bearer: key, signal });
      const before = last === 0 ? [] : view.events;
      last = events.at(-1)?.id ?? last;
      view = { status, events: [...events.toReversed(), ...before].slice(0, keptEvents), problem: null };
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ProblemError)) throw error;
      view = { ...view, problem: error.problem };
      last = 0; // another web node may answer next, which counts for itself
      if (error.problem.code === "unauthorized") {
        show(view);
        return;
      }
    }
    show(view);
    await rest(view.problem ? pauseAfterFailure : pause, signal);
  }
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}

/** Drains a server, or takes it back into service. */
export function drain(key: string, server: DrainServer): Promise<DrainState> {
  return request<DrainState>("/api/v1/drain", "web_unreachable", { bearer: key, body: server });
}

const storageKey = "causeway-admin-key";

/** The key of this tab: it is forgotten when the tab is closed. */
export function loadKey(): string {
  try {
    return sessionStorage.getItem(storageKey) ?? "";
  } catch {
    return ""; // no storage: it is asked for each time
  }
}

/** Remembers the key for this tab; "" forgets it. */
export function saveKey(key: string): void {
  try {
    if (key) sessionStorage.setItem(storageKey, key);
    else sessionStorage.removeItem(storageKey);
  } catch {
    // As in loadKey.
  }
}
