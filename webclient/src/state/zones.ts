// Phase 2: probes every controller of every zone at once, and keeps the
// connections warm until the join takes the best.
import { every } from "../media/value.ts";
import type { Attempt, Package, Problem } from "../protocol/messages.ts";
import { ProblemError, problem } from "../protocol/problems.ts";
import { choose, decided, jitter, measures, median, type ProbeRecord, patience, score } from "./choose.ts";
import { type ProbeSample, timedProbe } from "./probe.ts";
import { direct, lastWay, type Way } from "./way.ts";

/** How many requests measure a controller. */
const rounds = 5;

/** How often waiting connections are used, so that they stay open, in ms. */
const warmMS = 12_000;

/** Sends one probe to an address and says what it measured. */
export type Probe = (url: string, signal: AbortSignal) => Promise<ProbeSample>;

/** A running measurement of a package's zones. It ends when its signal aborts. */
export class Survey {
  readonly records: ProbeRecord[];
  /**
   * Resolves with the ranked controllers as soon as waiting longer could not
   * change the best; rejects with the problem when there is none.
   */
  readonly ready: Promise<ProbeRecord[]>;

  readonly #previous: string;
  readonly #probe: Probe;
  readonly #way: Way;
  readonly #started = performance.now();
  #progress: () => void = () => {};

  constructor(zones: Package["zones"], previous: string, signal: AbortSignal, way = direct, probe: Probe = timedProbe) {
    this.#previous = previous;
    this.#probe = probe;
    this.#way = way;
    this.records = zones.flatMap((zone) =>
      zone.controllers.map((controller) => ({ zone, controller, rtts: [], dnsMS: 0, connectMS: 0, tlsMS: 0 })),
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
    return this.records.map((record) => attemptOf(record, this.#way.via));
  }

  async #measure(record: ProbeRecord, signal: AbortSignal): Promise<void> {
    for (let i = 0; i < rounds && record.error === undefined && !signal.aborted; i++) {
      await this.#once(record, signal);
      record.done = record.error !== undefined || i === rounds - 1;
      this.#progress();
    }
  }

  async #once(record: ProbeRecord, signal: AbortSignal): Promise<void> {
    try {
      const sample = await this.#probe(this.#way.probe(record.controller.url), signal);
      if (record.rtts.length === 0) {
        record.dnsMS = sample.dnsMS;
        record.connectMS = sample.connectMS;
        record.tlsMS = sample.tlsMS;
      }
      record.rtts = [...record.rtts, sample.rttMS].slice(-rounds);
      record.answer = sample.answer;
      delete record.error;
    } catch (error) {
      if (!signal.aborted) record.error = error instanceof Error ? error.message : String(error);
    }
  }

  #keepWarm(signal: AbortSignal): void {
    if (globalThis.document?.visibilityState === "hidden") return;
    for (const record of this.records) if (record.done) void this.#once(record, signal);
  }

  /** Waits for as long as a better zone could still answer. */
  #wait(signal: AbortSignal): Promise<ProbeRecord[]> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const settle = (how: () => void) => {
        clearTimeout(timer);
        this.#progress = () => {};
        signal.removeEventListener("abort", abort);
        how();
      };
      const abort = () => settle(() => reject(signal.reason));
      const finish = () => {
        const ranked = this.ranked();
        settle(() => (ranked.length > 0 ? resolve(ranked) : reject(new ProblemError(this.#nothing()))));
      };
      this.#progress = () => {
        clearTimeout(timer);
        const elapsed = performance.now() - this.#started;
        const over = this.records.every((r) => r.done) || elapsed >= measures.budgetMS;
        if (over || decided(this.records, this.#previous, elapsed)) return finish();
        const wait = patience(this.records, this.#previous) - elapsed;
        timer = setTimeout(this.#progress, wait > 0 ? wait : measures.budgetMS - elapsed);
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#progress();
    });
  }

  #nothing(): Problem {
    if (this.records.length === 0) return problem("no_zone");
    const why = this.records.map((r) => `${new URL(r.controller.url).host}: ${r.error ?? "no answer within 5.5 s"}`);
    return problem("zones_unreachable", why.join("; "));
  }
}

/** What the search for a zone came to. */
export interface Found {
  way: Way;
  survey: Survey;
  ranked: ProbeRecord[];
}

/**
 * Measures the zones, straight and then, when no controller answers, through
 * the gateway. tell is given every measurement as it begins.
 */
export async function findZones(
  pkg: Package,
  previous: string,
  signal: AbortSignal,
  tell: (survey: Survey) => void = () => {},
  probe: Probe = timedProbe,
): Promise<Found> {
  const by = async (way: Way): Promise<Found> => {
    const survey = new Survey(pkg.zones, previous, signal, way, probe);
    tell(survey);
    return { way, survey, ranked: await survey.ready };
  };
  try {
    return await by(direct);
  } catch (error) {
    const last = lastWay(pkg);
    if (!last || !(error instanceof ProblemError) || error.problem.code !== "zones_unreachable") throw error;
    return await by(last).catch((again: unknown) => {
      signal.throwIfAborted();
      // Why nothing answered straight says more than that the gateway did not help.
      throw again instanceof ProblemError && again.problem.code !== "zones_unreachable" ? again : error;
    });
  }
}

function attemptOf(record: ProbeRecord, via: string): Attempt {
  const answered = record.rtts.length > 0;
  return {
    target: record.controller.url,
    transport: "https",
    via,
    zone: record.zone.id,
    dns_ms: tenths(record.dnsMS),
    connect_ms: tenths(record.connectMS),
    tls_ms: tenths(record.tlsMS),
    rtt_ms: tenths(median(record.rtts)),
    rtt_min_ms: answered ? tenths(Math.min(...record.rtts)) : 0,
    jitter_ms: tenths(jitter(record.rtts)),
    ...(answered ? { score_ms: tenths(score(record)) } : {}),
    ok: record.error === undefined && answered,
    ...(record.error ? { error: record.error } : answered ? {} : { error: "no answer yet" }),
  };
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10;
