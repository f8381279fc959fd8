// The way in, while the person is still in the lobby: phases 1 and 2 run, and
// the offers of phase 4 are made, before Join is pressed.
import { Connections } from "../media/connections.ts";
import { pause, Value } from "../media/value.ts";
import type { Offers, Package, Problem } from "../protocol/messages.ts";
import { ProblemError, problem, problemOf } from "../protocol/problems.ts";
import { lookup, targets } from "./admission.ts";
import { shown, watchPerson } from "./attendance.ts";
import type { ProbeRecord } from "./choose.ts";
import { cameraCodec, clientInfo, obstacle, videoSlots } from "./client.ts";
import type { MeetingLink } from "./link.ts";
import { Recorder } from "./report.ts";
import { type Ready, Standby } from "./standby.ts";
import { verdict } from "./verdict.ts";
import type { Way } from "./way.ts";
import { type Found, findZones, type Survey } from "./zones.ts";

/** How far the way in is prepared. */
export type EntryState =
  | { step: "idle" | "lookup" | "zones" }
  | { step: "ready"; zone: string; rttMS: number }
  | { step: "passcode"; wrong: boolean }
  | { step: "failed"; problem: Problem };

/** Everything a meeting needs to begin. */
export interface Ticket {
  link: MeetingLink;
  pkg: Package;
  ranked: ProbeRecord[];
  way: Way;
  /** New, or those of the session that stands by. */
  connections: Connections;
  ready: Ready | null;
  recorder: Recorder;
}

/** The name that lookups made ahead carry while the person has not typed one. */
const placeholder = "Guest";

/**
 * When another session is made ready after one that ended, in ms: so soon at first, and later each time that one was of no
 * use, up to a limit; one that lasted was. And for how long after a sign of them somebody counts as there: a router keeps
 * none for a lobby that was left open.
 */
const another = { soonMS: 5000, lateMS: 120_000, lastingMS: 60_000, thereMS: 120_000 };

/** Prepares one join. End it with close, or by taking its ticket. */
export class Entry {
  readonly state = new Value<EntryState>({ step: "idle" });
  /** The package, once there is one: the lobby shows the meeting's topic. */
  readonly package = new Value<Package | null>(null);

  readonly recorder: Recorder;
  readonly #previousZone: string;
  readonly #life = new AbortController();
  #link: MeetingLink;
  #token: string | undefined;
  #name = "";
  #found: Found | null = null;
  #surveyLife = new AbortController();
  #connections: Connections | null = null;
  #offers: Promise<Offers> | null = null;
  #standby: Standby | null = null;
  /** When the next session may be made ready, how long that was put off, and when there was a sign of somebody. */
  #standbyFrom = 0;
  #standbyPause = another.soonMS / 2;
  #seenAt = performance.now();
  #taking = false;
  #work: Promise<void> = Promise.resolve();

  /** token is that of an earlier participation, to come back as the same participant. */
  constructor(link: MeetingLink, previousZone: string, token?: string) {
    this.#link = link;
    this.#previousZone = previousZone;
    this.#token = token;
    this.recorder = new Recorder(link.number);
    const seen = () => {
      this.#seenAt = performance.now();
      void this.#standByNow().catch(() => {}); // in, or gone
    };
    watchPerson(seen, this.#life.signal);
  }

  get link(): MeetingLink {
    return this.#link;
  }

  /** Begins to prepare with the name that is known, or without one. */
  warm(name: string): Promise<void> {
    this.#name = name.trim() || placeholder;
    this.#work = this.#prepare();
    return this.#work;
  }

  /** The name is another one, as it seems for good: looks up under it while there is time. */
  rename(name: string): void {
    const wanted = name.trim() || placeholder;
    this.#work = this.#work.then(async () => {
      if (wanted === this.#name || this.state.get().step !== "ready" || this.#life.signal.aborted) return;
      this.#name = wanted;
      await this.#again();
    });
  }

  /** Tries another passcode. */
  passcode(text: string): Promise<void> {
    this.#link = { ...this.#link, passcode: text };
    return this.warm(this.#name);
  }

  /** Join seems to be pressed soon: the first picture is made ready. */
  soon(): void {
    this.#standby?.soon();
  }

  /** Finishes what is left to do and hands everything over. */
  async take(name: string): Promise<Ticket> {
    this.#taking = true;
    try {
      return await this.#take(name.trim() || placeholder);
    } finally {
      this.#taking = false;
    }
  }

  async #take(wanted: string): Promise<Ticket> {
    this.recorder.resume();
    await this.#work;
    const current = this.state.get().step === "ready";
    if (!current || wanted !== this.#name || this.#expiresSoon()) {
      this.#name = wanted;
      this.#work = current ? this.#again() : this.#prepare();
      await this.#work;
    }
    const state = this.state.get();
    const pkg = this.package.get();
    if (state.step === "failed") throw new ProblemError(state.problem);
    if (state.step === "passcode") throw new ProblemError(problem("wrong_passcode"));
    if (!pkg || !this.#found) throw new ProblemError(problem("internal"));
    const ready = await this.#takeReady();
    const connections = this.#connections;
    if (!connections) throw new ProblemError(problem("internal"));
    await this.#offers;
    this.recorder.resume();
    const ticket = {
      link: this.#link,
      pkg,
      ranked: this.#found.survey.ranked(),
      way: this.#found.way,
      connections,
      ready,
      recorder: this.recorder,
    };
    this.#connections = null; // handed over
    this.close();
    return ticket;
  }

  close(): void {
    this.#life.abort();
    this.#surveyLife.abort();
    this.#standby?.close();
    this.#connections?.close();
    this.#connections = null;
  }

  async #prepare(): Promise<void> {
    const missing = obstacle();
    if (missing) return this.#fail(problem(missing));
    this.recorder.resume();
    this.state.set({ step: "lookup" });
    try {
      this.#makeOffers();
      const pkg = await this.#lookup(this.recorder);
      this.state.set({ step: "zones" });
      await this.#probe(pkg);
      await this.#offers;
      this.recorder.pause();
      this.#standBy();
    } catch (error) {
      this.#caught(error);
    }
  }

  /** Only the name changed, or time went by: a new token, but the same zones. */
  async #again(): Promise<void> {
    try {
      await this.#lookup(null);
      this.recorder.event("looked up again under the final name");
    } catch (error) {
      this.#caught(error);
    }
  }

  async #lookup(recorder: Recorder | null): Promise<Package> {
    const person = { name: this.#name, client: clientInfo(), ...(this.#token ? { token: this.#token } : {}) };
    const pkg = await lookup(this.#link, person, recorder, this.#life.signal);
    this.#token = pkg.token;
    this.package.set(pkg);
    return pkg;
  }

  async #probe(pkg: Package): Promise<void> {
    this.#surveyLife.abort();
    this.#surveyLife = new AbortController();
    const phase = this.recorder.begin("zone");
    const surveys: Survey[] = [];
    const attempts = () => surveys.flatMap((survey) => survey.attempts());
    this.#found = null;
    try {
      const { signal } = this.#surveyLife;
      this.#found = await findZones(pkg, this.#previousZone, signal, (survey) => surveys.push(survey));
      const { survey, ranked, way } = this.#found;
      const best = ranked[0];
      phase.attempts(attempts());
      phase.done();
      this.recorder.route(way.route);
      this.recorder.event(verdict(ranked, this.#previousZone));
      const rttMS = survey.attempts().find((a) => a.target === best?.controller.url)?.rtt_ms ?? 0;
      this.state.set({ step: "ready", zone: best?.zone.name || best?.zone.id || "", rttMS });
    } catch (error) {
      phase.attempts(attempts());
      phase.fail(problemOf(error));
      throw error;
    }
  }

  #makeOffers(): void {
    if (this.#connections) return;
    this.#connections = new Connections(videoSlots(), cameraCodec);
    this.#offers = this.#connections.offers();
    this.#offers.catch(() => {}); // told when it is awaited
  }

  /** Has a session made ready, unless there is one, or the page cannot be seen. Without one Join takes longer, and no more. */
  #standBy(): void {
    if (this.#standby || this.#taking || this.state.get().step !== "ready" || !shown()) return;
    const [pkg, connections, offers] = [this.package.get(), this.#connections, this.#offers];
    const [target] = this.#found && pkg ? targets(this.#found.survey.ranked(), pkg) : [];
    if (!pkg || !connections || !offers || !target || !this.#found || this.#life.signal.aborted) return;
    const { recorder } = this;
    const wish = { request: { client: clientInfo() }, token: pkg.token, way: this.#found.way, recorder };
    const standby = new Standby(connections, offers, target, wish);
    const began = performance.now();
    this.#standby = standby;
    void standby.over.then(() => {
      if (this.#standby !== standby) return; // taken
      this.#standby = null;
      this.#forget(standby);
      if (standby.unknown) this.#standbyFrom = Number.POSITIVE_INFINITY;
      else void this.#standByAgain(performance.now() - began > another.lastingMS).catch(() => {}); // in, or gone
    });
  }

  /** Has the next session made ready after a while, at once only while somebody is there. */
  async #standByAgain(lasted: boolean): Promise<void> {
    this.#standbyPause = lasted ? another.soonMS : Math.min(2 * this.#standbyPause, another.lateMS);
    this.#standbyFrom = performance.now() + this.#standbyPause;
    await pause(this.#standbyPause, this.#life.signal);
    if (performance.now() - this.#seenAt < another.thereMS) await this.#standByNow();
  }

  /** Has a session made ready if it is time for another one, by a token that lasts. */
  async #standByNow(): Promise<void> {
    if (this.#standby || this.#taking || performance.now() < this.#standbyFrom || !shown()) return;
    if (this.state.get().step === "ready" && this.#expiresSoon()) {
      this.#standbyFrom = performance.now() + this.#standbyPause;
      this.#work = this.#work.then(() => this.#again());
      await this.#work;
    }
    this.#standBy();
  }

  /** What is left of a session that came to nothing: connections as good as new for an ordinary join. */
  #forget(standby: Standby): void {
    standby.close();
    if (!standby.spent || this.#life.signal.aborted) return;
    this.#connections?.close();
    this.#connections = null;
    this.#makeOffers();
  }

  async #takeReady(): Promise<Ready | null> {
    const standby = this.#standby;
    if (!standby) return null;
    this.#standby = null;
    const ready = await standby.take();
    if (!ready) this.#forget(standby);
    return ready;
  }

  #expiresSoon(): boolean {
    const expires = Date.parse(this.package.get()?.token_expires_at ?? "");
    return Number.isFinite(expires) && expires - Date.now() < 60_000;
  }

  #caught(error: unknown): void {
    if (this.#life.signal.aborted) return;
    const p = problemOf(error);
    if (p.code === "wrong_passcode") this.state.set({ step: "passcode", wrong: this.#link.passcode !== "" });
    else this.#fail(p);
  }

  #fail(p: Problem): void {
    this.state.set({ step: "failed", problem: p });
  }
}
