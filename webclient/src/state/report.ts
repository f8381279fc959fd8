// Keeps the record of one join: every phase, every attempt, what is in use.
// Its clock stands still while the person waits in the lobby with everything
// ready, so that times say how long the system took and not how long somebody
// looked at themselves.
import type {
  Attempt,
  JoinAnswer,
  MediaKind,
  MediaReport,
  PhaseName,
  PhaseReport,
  Problem,
  Report,
} from "../protocol/messages.ts";

/** The most events that are kept; the oldest go first. */
const maxEvents = 200;

const dscp: Record<MediaKind, number> = { audio: 46, video: 34, content: 36 }; // what a browser can ask for

/** Owns the report of one join. */
export class Recorder {
  readonly #report: Report;
  readonly #clock: () => number;
  readonly #first: Partial<Record<MediaKind, number>> = {};
  #origin: number;
  #pausedAt: number | null = null;

  constructor(meeting: string, clock: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#origin = clock();
    this.#report = {
      ok: false,
      meeting,
      participant: "",
      route: "direct",
      proxy: { kind: "none" },
      zone: "",
      controller: "",
      mmr: "",
      first_media_ms: 0,
      phases: [],
      media: {},
      events: [],
    };
  }

  /** Milliseconds of the join so far. */
  now(): number {
    return round((this.#pausedAt ?? this.#clock()) - this.#origin);
  }

  /** Stops the clock: everything that can be done ahead is done. */
  pause(): void {
    this.#pausedAt ??= this.#clock();
  }

  /** Lets the clock go on: the person pressed Join, or something has to be done again. */
  resume(): void {
    if (this.#pausedAt === null) return;
    this.#origin += this.#clock() - this.#pausedAt;
    this.#pausedAt = null;
  }

  /** Begins a phase; a phase that is done again in the lobby takes the place of the earlier one. */
  begin(name: PhaseName): Phase {
    const phase: PhaseReport = { name, started_ms: this.now(), duration_ms: 0, ok: false, attempts: [] };
    const at = this.#report.phases.findIndex((p) => p.name === name);
    if (at >= 0) this.#report.phases.splice(at, 1);
    this.#report.phases.push(phase);
    return new Phase(phase, () => this.now());
  }

  participant(id: string): void {
    this.#report.participant = id;
  }

  /** How the servers are reached. */
  route(route: "direct" | "tunnel"): void {
    this.#report.route = route;
  }

  /** Where the participant was admitted. */
  admitted(answer: JoinAnswer): void {
    this.#report.zone = answer.zone;
    this.#report.controller = answer.controller;
    this.#report.mmr = answer.mmr;
  }

  /** The first packet of a kind has arrived, or was acknowledged. Later calls change nothing. */
  flows(kind: MediaKind): void {
    if (this.#first[kind]) return;
    this.#first[kind] = this.now();
    this.#report.first_media_ms ||= this.now();
    const known = this.#report.media[kind];
    if (known) known.first_packet_ms = this.now();
  }

  /** What a media connection did so far. */
  media(kind: MediaKind, seen: Omit<MediaReport, "dscp" | "first_packet_ms">): void {
    this.#report.media[kind] = { ...seen, dscp: dscp[kind], first_packet_ms: this.#first[kind] ?? 0 };
  }

  event(what: string): void {
    this.#report.events.push({ at_ms: this.now(), what });
    if (this.#report.events.length > maxEvents) this.#report.events.shift();
  }

  /** Whether a phase has not been passed yet. */
  lacks(name: PhaseName): boolean {
    return !this.#report.phases.some((p) => p.name === name && p.ok);
  }

  /** The report as it stands: joined, and no phase failed. */
  report(): Report {
    const copy = structuredClone(this.#report);
    const names = new Set(copy.phases.filter((p) => p.ok).map((p) => p.name));
    copy.ok = (["lookup", "zone", "mmr", "media"] as const).every((name) => names.has(name));
    return copy;
  }
}

/** One phase while it runs. */
export class Phase {
  readonly #phase: PhaseReport;
  readonly #now: () => number;

  constructor(phase: PhaseReport, now: () => number) {
    this.#phase = phase;
    this.#now = now;
  }

  attempt(attempt: Attempt): void {
    this.#phase.attempts.push(attempt);
  }

  /** Replaces all attempts: measurements that go on after the choice. */
  attempts(attempts: Attempt[]): void {
    this.#phase.attempts = attempts;
  }

  done(): void {
    this.#phase.duration_ms = round(this.#now() - this.#phase.started_ms);
    this.#phase.ok = true;
    delete this.#phase.error;
  }

  fail(error: Problem): void {
    this.#phase.duration_ms = round(this.#now() - this.#phase.started_ms);
    this.#phase.ok = false;
    this.#phase.error = error;
  }
}

/** Tenths of a millisecond say all there is to say. */
function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
