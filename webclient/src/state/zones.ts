// Phase 2: probes every controller of every zone at once, and keeps the
// connections warm until the join takes the best.
import { every } from "../media/value.ts";
import type { Attempt, Package, ProbeAnswer } from "../protocol/messages.ts";
import { ProblemError, problem } from "../protocol/problems.ts";
import { choose, deadline, jitter, median, type ProbeRecord } from "./choose.ts";
import { ProbeError, timedProbe } from "./probe.ts";

/** How many requests measure a controller. */
const rounds = 5;

/** The whole phase's budget in ms. */
export const budgetMS = 5500;

/** How often waiting connections are used, so that they stay open, in ms. */
const warmMS = 12_000;

/** Sends one probe and says what it measured. */
export type Probe = (
  url: string,
  signal: AbortSignal,
) => Promise<{ rttMS: number; dnsMS: number; connectMS: number; tlsMS: number; answer: ProbeAnswer }>;

/** A running measurement of a package's zones. It ends when its signal aborts. */
export class Survey {
  readonly records: ProbeRecord[];
  /** Resolves with the ranked controllers as soon as waiting longer could not change the best; rejects with zones_unreachable. */
  readonly ready: Promise<ProbeRecord[]>;

  readonly #previous: string;
  readonly #probe: Probe;
  readonly #started = performance.now();
  #settle: () => void = () => {};

  constructor(zones: Package["zones"], previous: string, signal: AbortSignal, probe: Probe = timedProbe) {
    this.#previous = previous;
    this.#probe = probe;
    this.records = zones.flatMap((zone) =>
      zone.controllers.map(
        (controller): ProbeRecord => ({ zone, controller, rtts: [], dnsMS: 0, connectMS: 0, tlsMS: 0 }),
      ),
    );
    this.ready = this.#wait(signal);
    this.ready.catch(() => {}); // whoever asks for it gets the error
    for (const record of this.records) void this.#measure(record, signal);
    every(warmMS, () => this.#keepWarm(signal), signal);
  }

  /** The controllers in the order in which to try them, as known now. */
  ranked(): ProbeRecord[] {
    return choose(this.records, this.#previous);
  }

  /** What the report says of this phase. */
  attempts(): Attempt[] {
    return this.records.map(attemptOf);
  }

  async #measure(record: ProbeRecord, signal: AbortSignal): Promise<void> {
    for (let i = 0; i < rounds && record.error === undefined && !signal.aborted; i++) {
      await this.#once(record, signal);
      this.#settle();
    }
  }

  async #once(record: ProbeRecord, signal: AbortSignal): Promise<void> {
    try {
      const sample = await this.#probe(record.controller.url, signal);
      if (record.rtts.length === 0) {
        record.dnsMS = sample.dnsMS;
        record.connectMS = sample.connectMS;
        record.tlsMS = sample.tlsMS;
      }
      record.rtts = [...record.rtts, sample.rttMS].slice(-rounds);
      record.answer = sample.answer;
      delete record.error;
    } catch (error) {
      if (signal.aborted) return;
      record.error = error instanceof ProbeError ? error.message : String(error);
    }
  }

  #keepWarm(signal: AbortSignal): void {
    if (globalThis.document?.visibilityState === "hidden") return;
    for (const record of this.records) void this.#once(record, signal);
  }

  /** Waits for as long as a better zone could still answer. */
  #wait(signal: AbortSignal): Promise<ProbeRecord[]> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const finish = () => {
        clearTimeout(timer);
        this.#settle = () => {};
        signal.removeEventListener("abort", abort);
        const ranked = this.ranked();
        if (ranked.length > 0) resolve(ranked);
        else reject(new ProblemError(this.#nothing()));
      };
      const abort = () => {
        clearTimeout(timer);
        this.#settle = () => {};
        reject(signal.reason);
      };
      this.#settle = () => {
        clearTimeout(timer);
        const elapsed = performance.now() - this.#started;
        const left = Math.min(deadline(this.records, this.#previous), budgetMS) - elapsed;
        if (left <= 0) finish();
        else timer = setTimeout(finish, left);
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#settle();
    });
  }

  #nothing() {
    if (this.records.length === 0) return problem("no_zone");
    const full = this.records.some((r) => r.answer?.state === "full");
    if (full) return problem("zone_full");
    const why = this.records.map((r) => `${r.controller.url}: ${r.error ?? (r.answer ? r.answer.state : "no answer")}`);
    return problem("zones_unreachable", why.join("; "));
  }
}

function attemptOf(record: ProbeRecord): Attempt {
  return {
    target: record.controller.url,
    transport: "https",
    via: "direct",
    zone: record.zone.id,
    dns_ms: record.dnsMS,
    connect_ms: record.connectMS,
    tls_ms: record.tlsMS,
    rtt_ms: median(record.rtts),
    rtt_min_ms: record.rtts.length > 0 ? Math.min(...record.rtts) : 0,
    jitter_ms: jitter(record.rtts),
    ok: record.error === undefined && record.rtts.length > 0,
    ...(record.error ? { error: record.error } : record.rtts.length === 0 ? { error: "no answer yet" } : {}),
  };
}
