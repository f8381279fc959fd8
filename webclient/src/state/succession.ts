// The session of a meeting, and the next one that takes its place: brought up
// beside the old one, adopted once it stands, with the old one going on for a
// while so that nobody sees a gap or hears anything twice.
import { Connections } from "../media/connections.ts";
import type { Sound } from "../media/sound.ts";
import { pause } from "../media/value.ts";
import type { Attempt, FromRouter, JoinAnswer, Resume, Transport } from "../protocol/messages.ts";
import { problemOf } from "../protocol/problems.ts";
import { cameraCodec, videoSlots } from "./client.ts";
import { recordMedia } from "./mediaphase.ts";
import type { Publisher } from "./publisher.ts";
import { type Phase, Recorder } from "./report.ts";
import { Session, type Surroundings } from "./session.ts";
import { type Pictures, pictures } from "./slots.ts";
import type { WayIn } from "./wayin.ts";

/** The measures of one session taking the place of another, in ms. */
const overlap = {
  /** How long the control channel of the new one may take, and its sound. */
  attach: 5500,
  connect: 8000,
  /** The same where only UDP is tried. */
  climb: 3000,
  /** How long the new one may be without sound before it is the one to be heard. */
  sound: 700,
  /** How long the old one goes on beside it: so long others may take to switch. */
  linger: 2600,
};

/** How the next session is to be found. */
export interface Plan {
  /** Whether what phases 1 and 2 found out a while ago holds: only the way to one router is gone. */
  quick: boolean;
  resume: Resume | null;
  /** Only this rung will do. */
  rung?: Transport;
  /** Whether the old session's media goes on, so that the new one is not taken before it has its own. */
  side: boolean;
  /** Asked at the last moment: is it still wanted? */
  wanted: () => boolean;
}

/** The new session was no longer wanted. */
export class Unwanted extends Error {}

/** What the sessions need of their meeting, which is told what the current one says. */
export interface Household extends Omit<Surroundings, "receive" | "opened" | "wants"> {
  wayIn: WayIn;
  recorder: Recorder;
  publisher: Publisher;
  sound: Sound;
  signal: AbortSignal;
  /** Something that a session wants of the meeting itself, whichever session it is. */
  asked: (session: Session, message: Extract<FromRouter, { type: "move" }>) => void;
  /** A message of the current session. */
  told: (message: FromRouter) => void;
  /** The current session, perhaps a new one, can be asked for pictures. */
  ready: (session: Session) => void;
  /** There may be other pictures. */
  changed: () => void;
  /** The current session has no control channel since then; 0: it has again. */
  unheard: (session: Session, since: number) => void;
}

/** Owns the sessions of a meeting. End it with close. */
export class Succession {
  /** The session in use. */
  current: Session | null = null;
  /** The session before, while it goes on beside. */
  before: Session | null = null;
  /** The search for a next session, while there is one. */
  work: Promise<unknown> | null = null;

  readonly #house: Household;
  readonly #of = new WeakMap<MediaStream, Session>();
  /** What a session said before it was the one. */
  readonly #early = new Map<Session, FromRouter[]>();

  constructor(house: Household) {
    this.#house = house;
  }

  /** Whether one stream took the place of another as its session did, so that they show the same. */
  replaces(old: MediaStream, next: MediaStream): boolean {
    return this.#of.has(old) && this.#of.get(old) !== this.#of.get(next);
  }

  /** What there is to see. */
  pictures(): Pictures<MediaStream> {
    const of = (s: Session) => ({ slots: s.slots.get(), streams: s.streams });
    if (!this.current) return { cameras: new Map(), screen: null };
    return pictures(of(this.current), this.before ? of(this.before) : null);
  }

  /** The first session, with connections whose offers were answered; or another one, when that was of no use. */
  first(connections: Connections, answer: JoinAnswer): Session {
    if (this.current) this.#drop(this.current);
    const session = this.#begin(connections, answer);
    this.current = session;
    this.#house.sound.hear(session.voices);
    return session;
  }

  /** Lets a session connect: media and control channel come up side by side. */
  async enter(session: Session, phase: Phase, plan?: Plan): Promise<void> {
    const { via } = this.#house.wayIn;
    const target = session.answer.control_url;
    const base = { target, transport: "wss", via, tls_ms: 0, rtt_ms: 0, jitter_ms: 0 };
    const began = performance.now();
    // The channel takes more round trips than media, and is begun in no time.
    const attached = plan?.rung ? null : session.attach(overlap.attach);
    attached?.catch(() => {}); // awaited below, as is
    const media = session.connect(plan?.rung);
    media.catch(() => {});
    try {
      // Without a control channel nobody is disturbed by an attempt that fails.
      if (plan?.rung) await session.connected(overlap.climb);
      await (attached ?? session.attach(overlap.attach));
      phase.attempt({ ...base, connect_ms: Math.round(performance.now() - began), ok: true });
    } catch (error) {
      phase.attempt({ ...base, connect_ms: 0, ok: false, error: problemOf(error).title });
      throw error;
    }
    await media;
    if (plan?.side) await session.connected(overlap.connect);
  }

  /** Finds the next session and puts it in the place of the current one. One at a time. */
  succeed(plan: Plan): Promise<{ session: Session; attempts: Attempt[] }> {
    const work = this.#find(plan);
    this.work = work;
    const done = () => {
      if (this.work === work) this.work = null;
    };
    work.then(done, done);
    return work;
  }

  close(): void {
    for (const session of [...this.#early.keys(), this.before, this.current]) session?.close();
  }

  async #find(plan: Plan): Promise<{ session: Session; attempts: Attempt[] }> {
    const { signal, wayIn, recorder } = this.#house;
    const scratch = new Recorder("");
    const attempt = new AbortController();
    const life = AbortSignal.any([signal, attempt.signal]);
    const connections = new Connections(videoSlots(), cameraCodec);
    let next: Session | null = null;
    try {
      if (!plan.quick) await wayIn.again(this.current?.answer.zone ?? "", scratch, life);
      const { answer, phase } = await wayIn.admit(await connections.offers(), plan.resume, scratch, life);
      if (!plan.wanted()) throw new Unwanted();
      next = this.#begin(connections, answer);
      if (recorder.lacks("media")) void recordMedia(connections, recorder, next.signal);
      await this.enter(next, phase, plan);
      if (!plan.wanted()) throw new Unwanted();
      recorder.admitted(answer);
      this.#adopt(next);
      return { session: next, attempts: scratch.report().phases.find((p) => p.name === "mmr")?.attempts ?? [] };
    } catch (error) {
      if (next) this.#drop(next);
      else connections.close();
      throw error;
    } finally {
      attempt.abort();
    }
  }

  #begin(connections: Connections, answer: JoinAnswer): Session {
    const { publisher, recorder, ready, unheard, changed, token, state, detours } = this.#house;
    const session = new Session(connections, answer, {
      wants: () => this.current?.wants ?? [],
      token,
      state,
      detours,
      receive: (from, message) => this.#receive(from, message),
      opened: (from) => {
        publisher.attach(connections, true);
        if (from === this.current) ready(from);
      },
    });
    publisher.attach(connections);
    for (const stream of session.streams.values()) this.#of.set(stream, session);
    session.slots.subscribe(changed);
    session.events.subscribe((what) => session === this.current && recorder.event(what));
    session.unheard.subscribe((since) => session === this.current && unheard(session, since));
    return session;
  }

  #receive(from: Session, message: FromRouter): void {
    if (message.type === "move") this.#house.asked(from, message);
    if (from === this.current) this.#house.told(message);
    else if (from !== this.before) this.#early.set(from, [...(this.#early.get(from) ?? []), message]);
  }

  /** A new session is the one from now on; the one before goes on beside it for a while. */
  #adopt(next: Session): void {
    const previous = this.current;
    this.current = next;
    if (this.before) this.#drop(this.before);
    this.before = previous;
    previous?.retire();
    this.#house.ready(next);
    for (const message of this.#early.get(next) ?? []) this.#house.told(message);
    this.#early.delete(next);
    this.#house.changed();
    void this.#handOver(previous, next).catch(() => {}); // the meeting is over
  }

  async #handOver(previous: Session | null, next: Session): Promise<void> {
    const { signal, sound, changed } = this.#house;
    const goesOn = previous?.vigil.trouble.get() === null;
    if (goesOn) await Promise.race([next.sounding(), pause(overlap.sound, signal)]);
    if (this.current === next) sound.hear(next.voices);
    if (!previous) return;
    await pause(overlap.linger, signal);
    if (this.before !== previous) return; // dropped already
    this.before = null;
    this.#drop(previous);
    changed();
  }

  #drop(session: Session): void {
    this.#early.delete(session);
    this.#house.publisher.detach(session.connections);
    session.close();
  }
}
