// One admission to a router: its control channel, its media connections, and
// what their slots carry. A meeting has one, and two while one takes the place
// of another. The control channel is brought back as long as the session
// lives; media goes on without it.
import { type Connections, mediaKinds } from "../media/connections.ts";
import { noRedundancy, redundancy } from "../media/redundancy.ts";
import { Voices } from "../media/sound.ts";
import { Emitter, pause, Value } from "../media/value.ts";
import type { FromClient, FromRouter, JoinAnswer, SlotID, SlotWant, Transport } from "../protocol/messages.ts";
import { problemOf } from "../protocol/problems.ts";
import { fates } from "./comeback.ts";
import { Control, type Ending } from "./control.ts";
import { type LiveStats, StatsReader } from "./live.ts";
import { Playout } from "./playout.ts";
import { type Slots, withSlots } from "./slots.ts";
import { type Lifeline, type Trouble, Vigil } from "./vigil.ts";
import { assign, named, same, type VisibleTile } from "./wants.ts";

/** How long one attempt to bring the channel back may take, in ms, and how long to wait for the next. */
const reopenMS = 1500;
const againMS = 300;

/** Where the first picture is asked for. */
export const firstSlot: SlotID = "v1";

/** How a session is lost: for good by the router's word, or to be continued elsewhere. */
export type Loss = { why: "over"; ending: Ending } | { why: Trouble | "gone" | "closed" };

/** What a session needs of its meeting. */
export interface Surroundings {
  token: () => string;
  /** What the router is told of us right after the hello. */
  state: () => FromClient;
  /** What the session before asked for. */
  wants: () => readonly SlotWant[];
  receive: (session: Session, message: FromRouter) => void;
  /** The channel is open, or open again: what was asked for while there was none never arrived. */
  opened: (session: Session) => void;
  /** Other addresses of the control channel, should the router's own be out of reach. */
  detours: (controlURL: string) => readonly string[];
}

/** Owns the connections it is given. End it with close. */
export class Session {
  readonly answer: JoinAnswer;
  /** When the router let us in, by its clock; 0 while that is not known. */
  admitted: number;
  readonly connections: Connections;
  readonly streams: ReadonlyMap<SlotID, MediaStream>;
  readonly slots = new Value<Slots>(new Map());
  readonly voices: Voices;
  readonly playout = new Playout();
  readonly vigil: Vigil;
  /** Since when there is no control channel; 0 while there is one. */
  readonly unheard = new Value(0);
  /** Something for the report. */
  readonly events = new Emitter<string>();

  readonly #around: Surroundings;
  readonly #life = new AbortController();
  /** Ends when another session has taken its place. */
  readonly #duty = new AbortController();
  #control: Control | null = null;
  readonly #reader = new StatsReader();
  #redundancy = noRedundancy;
  #wants: SlotWant[] = [];
  #end: (loss: Loss) => void = () => {};
  readonly #ended: Promise<Loss>;
  #gone = false;
  #refused = false;

  constructor(connections: Connections, answer: JoinAnswer, around: Surroundings) {
    this.connections = connections;
    this.answer = answer;
    this.admitted = answer.admitted ?? 0;
    this.#around = around;
    const before = around.wants();
    // Who is there is not known yet: anybody, so that the first picture does not wait for the answer.
    this.#wants = before.length > 0 ? [...before] : [{ slot: firstSlot, participant: "", max_height: 720 }];
    this.#ended = new Promise((resolve) => {
      this.#end = (loss) => {
        this.#gone = true;
        resolve(loss);
      };
    });
    this.streams = connections.streams;
    connections.expect(firstSlot);
    const tracks = [...connections.receivers.values()].map(({ track }) => track);
    this.voices = new Voices(tracks.filter((track) => track.kind === "audio"));
    this.vigil = new Vigil(connections, () => this.#lifeline(), this.#duty.signal);
    this.#duty.signal.addEventListener("abort", () => this.#end({ why: "closed" }));
    connections.restarted.subscribe(() => this.#tellRestart());
  }

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  /** Round trip of the control channel in ms. */
  get rtt(): number {
    return this.#control?.rtt ?? 0;
  }

  /** Whether nothing is wrong with it, so far as is known. */
  get well(): boolean {
    return !this.#gone && this.vigil.trouble.get() === null && this.unheard.get() === 0;
  }

  /** Lets media connect, by one rung only if that is named. */
  async connect(rung?: Transport): Promise<void> {
    const rungs = rung ? Object.fromEntries(mediaKinds.map((kind) => [kind, rung])) : {};
    await this.connections.accept(this.answer.answers, this.answer.turn, rungs);
  }

  /** Waits until sound is connected; rejects after limitMS. */
  async connected(limitMS: number): Promise<void> {
    const { states } = this.connections;
    let stop = () => {};
    const up = new Promise<void>((resolve) => {
      const look = () => states.get().audio === "connected" && resolve();
      stop = states.subscribe(look);
      look();
    });
    const limit = new AbortController();
    try {
      const late = pause(limitMS, AbortSignal.any([this.signal, limit.signal])).then(() => {
        throw new Error(`no media connection within ${limitMS / 1000} s`);
      });
      late.catch(() => {}); // of no consequence once connected
      await Promise.race([up, late]);
    } finally {
      limit.abort();
      stop();
    }
  }

  /** Opens the control channel, or goes in by one that stands by, and keeps it open from then on. */
  async attach(limitMS: number, waiting?: Control): Promise<void> {
    await this.#open(this.answer.control_url, limitMS, waiting);
    void this.#keep();
  }

  /** Resolves when the session is lost, or closed. */
  async lost(): Promise<Loss> {
    let stop = () => {};
    const troubled = new Promise<Loss>((resolve) => {
      const look = (why: Trouble | null) => why && resolve({ why });
      stop = this.vigil.trouble.subscribe(look);
      look(this.vigil.trouble.get());
    });
    try {
      return await Promise.race([this.#ended, troubled]);
    } finally {
      stop();
    }
  }

  send(message: FromClient): void {
    this.#control?.send(message);
  }

  /** Asks for what is on the screen, if that is new. */
  want(seen: readonly VisibleTile[]): void {
    const slots = [...this.connections.receivers.keys()].filter((s) => s.startsWith("v")).length;
    const wants = assign(this.#wants, seen, slots);
    if (same(wants, this.#wants)) return;
    this.#wants = wants;
    this.send({ type: "want", slots: wants });
  }

  /** What was asked for last. */
  get wants(): readonly SlotWant[] {
    return this.#wants;
  }

  /** The network has changed: media goes on from a new address, and the channel is asked for a sign of life. */
  readdress(): void {
    this.#control?.nudge();
    // A browser that cannot notices the dead path, and the session is replaced.
    this.connections.restart().catch(() => this.events.emit("the browser could not look for new addresses"));
  }

  /** Reads the connections' statistics, and has sound go with redundancy where its way to the router loses packets. */
  async measure(): Promise<LiveStats> {
    const stats = await this.#reader.read(this.connections);
    const was = this.#redundancy.on;
    this.#redundancy = redundancy(this.#redundancy, stats.audio, performance.now());
    const { on } = this.#redundancy;
    if (on !== was && (await this.connections.repeat(on)))
      this.events.emit(on ? "sound goes twice: its way to the router loses packets" : "sound goes once again");
    return stats;
  }

  /** Resolves when the first sound has come. */
  async sounding(): Promise<void> {
    const { signal } = this;
    await new Promise<void>((resolve) => {
      for (const [slot, { track }] of this.connections.receivers) {
        if (!slot.startsWith("a")) continue;
        if (!track.muted) resolve();
        track.addEventListener("unmute", () => resolve(), { once: true, signal });
      }
    });
  }

  /** Another session takes its place: media goes on until close, but nothing is brought back. */
  retire(): void {
    this.#duty.abort();
  }

  close(): void {
    this.retire();
    this.#life.abort();
    this.#control?.close();
    this.connections.close();
    this.voices.close();
  }

  #lifeline(): Lifeline {
    const control = this.#control;
    return {
      heardAt: control?.heardAt ?? 0,
      waitingSince: this.unheard.get() || (control?.askedAt ?? 0),
      refused: this.#refused,
      rtt: control?.rtt ?? 0,
      nudge: () => control?.nudge(),
    };
  }

  async #open(url: string, limitMS: number, waiting?: Control): Promise<void> {
    const token = this.#around.token();
    const hello = { session: this.answer.session, token };
    const take = (m: FromRouter) => this.#take(m);
    const wants = this.#wants;
    const first: FromClient[] = [this.#around.state(), { type: "want", slots: wants }];
    if (waiting) await waiting.enter(token, first, take, this.signal, limitMS);
    this.#control = waiting ?? (await Control.open(url, hello, first, take, this.signal, limitMS));
    if (this.#wants !== wants) this.send({ type: "want", slots: this.#wants }); // asked for meanwhile
    this.#tellRestart();
    this.unheard.set(0);
    this.#refused = false;
    this.#around.opened(this);
  }

  /** Tells the router by which credentials our side of ICE goes on: at once, and again when the channel is back. */
  #tellRestart(): void {
    const connections = [...this.connections.restarted.get()];
    if (connections.length > 0) this.send({ type: "restart", connections });
  }

  #take(message: FromRouter): void {
    if (message.type === "sync") this.playout.learn(message.slots ?? []);
    if (message.type === "welcome") this.admitted = message.admitted ?? this.admitted;
    if (message.type === "welcome") this.slots.set(withSlots(new Map(), message.slots ?? []));
    if (message.type === "slots") this.slots.update((s) => withSlots(s, message.slots ?? []));
    if (message.type === "layers") void this.connections.request(message.source, message.active);
    if (message.type === "slots") this.#wants = named(this.#wants, this.slots.get());
    this.#around.receive(this, message);
  }

  /** Waits for the channel's end, and brings it back, again and again. */
  async #keep(): Promise<void> {
    while (this.#control && !this.#duty.signal.aborted) {
      const ending = await this.#control.ended;
      if (this.#duty.signal.aborted || ending.why === "closed") return;
      const fate = fates(ending);
      if (fate !== "again") return this.#end(fate === "over" ? { why: "over", ending } : { why: "gone" });
      this.unheard.set(performance.now());
      this.events.emit("the control channel was lost");
      const loss = await this.#reopen();
      if (loss) return this.#end(loss);
      this.events.emit("the control channel is back");
    }
  }

  /** Tries the router's own address and the detours in turn; says why there is nothing to come back to. */
  async #reopen(): Promise<Loss | null> {
    const own = this.answer.control_url;
    const urls = [own, own, ...this.#around.detours(own)];
    for (let n = 0; ; n++) {
      const began = performance.now();
      try {
        await this.#open(urls[n % urls.length] ?? own, reopenMS);
        return null;
      } catch (error) {
        if (this.#duty.signal.aborted) return { why: "closed" };
        const refusal = problemOf(error);
        if (refusal.code !== "control_failed") {
          const ending: Ending = { why: "refused", message: { type: "refusal", problem: refusal, fatal: true } };
          return fates(ending) === "over" ? { why: "over", ending } : { why: "gone" };
        }
        this.#refused ||= n === 0 && performance.now() - began < reopenMS / 2;
        await pause(againMS, this.#duty.signal).catch(() => {});
      }
    }
  }
}
