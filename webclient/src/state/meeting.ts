// One participation in a meeting, from Join to the end: admission, control
// channel, media, and coming back when any of them is lost. The user interface
// watches its values and calls its verbs.
import { Connections, mediaKinds } from "../media/connections.ts";
import type { Devices } from "../media/devices.ts";
import { Sound } from "../media/sound.ts";
import { Emitter, every, pause, Value } from "../media/value.ts";
import type {
  Attempt,
  FarewellReason,
  FromClient,
  FromRouter,
  HostVerb,
  JoinAnswer,
  MediaKind,
  Offers,
  Package,
  Problem,
  Report,
  SlotID,
  SlotWant,
  Transport,
} from "../protocol/messages.ts";
import { problem, problemOf } from "../protocol/problems.ts";
import { admit, lookup } from "./admission.ts";
import { postReport } from "./api.ts";
import { clientInfo, videoSlots } from "./client.ts";
import { backoff, finalFor } from "./comeback.ts";
import { Control, type Ending } from "./control.ts";
import type { Ticket } from "./entry.ts";
import { type Focus, noFocus, refocus } from "./focus.ts";
import type { MeetingLink } from "./link.ts";
import { LipSync } from "./lipsync.ts";
import { type LiveStats, StatsReader } from "./live.ts";
import { type Loss, MediaPhase } from "./mediaphase.ts";
import { type Local, Publisher } from "./publisher.ts";
import { type Phase, Recorder } from "./report.ts";
import { emptyRoom, isRaised, type Notice, type RoomState, reduce } from "./room.ts";
import { assign, same, type VisibleTile } from "./wants.ts";
import { lastWay, type Way } from "./way.ts";
import { findZones } from "./zones.ts";

/** How the participation stands. */
export type MeetingStatus =
  | { state: "joining" }
  | { state: "live" }
  | { state: "reconnecting"; what: "control" | "media" }
  | { state: "over"; reason: FarewellReason | "failed"; by: string; problem: Problem | null };

/** Owns everything that a participation uses. It ends by leave, by the router's farewell, or by failing to join. */
export class Meeting {
  readonly status = new Value<MeetingStatus>({ state: "joining" });
  readonly room: Value<RoomState>;
  /** What the slots receive. */
  readonly streams = new Value<ReadonlyMap<SlotID, MediaStream>>(new Map());
  readonly focus = new Value("");
  readonly unread = new Value(0);
  readonly stats = new Value<LiveStats | null>(null);
  readonly notices = new Emitter<Notice>();
  readonly sound = new Sound();
  readonly publisher: Publisher;
  readonly link: MeetingLink;

  readonly #life = new AbortController();
  readonly #recorder: Recorder;
  readonly #lipSync = new LipSync();
  readonly #reader = new StatsReader();
  #media: MediaPhase;
  #package: Package;
  #ranked: Ticket["ranked"];
  #way: Way;
  /** What is reached only through the gateway stays there, whatever a probe says. */
  #wayIsLast = false;
  readonly #rungs: Partial<Record<MediaKind, Transport>> = {};
  #connections: Connections;
  #control: Control | null = null;
  #answer: JoinAnswer | null = null;
  #wants: SlotWant[] = [];
  #tiles: readonly VisibleTile[] = [];
  #wantTimer: ReturnType<typeof setTimeout> | undefined;
  #focus: Focus = noFocus;
  #chatOpen = false;

  constructor(ticket: Ticket, devices: Devices, on: { microphone: boolean; camera: boolean }) {
    const { signal } = this.#life;
    this.link = ticket.link;
    this.#recorder = ticket.recorder;
    this.#package = ticket.pkg;
    this.#ranked = ticket.ranked;
    this.#way = ticket.way;
    this.#connections = ticket.connections;
    this.#media = new MediaPhase(this.#connections, this.#recorder, signal);
    this.#media.guard(() => this.#control);
    this.room = new Value(emptyRoom(ticket.pkg.meeting, ticket.pkg.participant.id));
    this.publisher = new Publisher(devices, on, signal);
    this.publisher.local.subscribe((now) => this.#tellState(now));
    this.sound.use(devices.choice.get().speaker ?? "");
    const stop = devices.choice.subscribe((c) => this.sound.use(c.speaker ?? ""));
    signal.addEventListener("abort", stop);
    void this.#run(ticket);
  }

  /** The token with which to come back as the same participant. */
  get token(): string {
    return this.#package.token;
  }

  report(): Report {
    return this.#recorder.report();
  }

  /** Skews of sound against picture in ms, by participant. */
  skews(): Map<string, number> {
    return this.#lipSync.skews();
  }

  /** Round trip of the control channel in ms. */
  controlRTT(): number {
    return this.#control?.rtt ?? 0;
  }

  /** Says which pictures are on the screen; the router is asked for them shortly after. */
  look(tiles: readonly VisibleTile[]): void {
    this.#tiles = tiles;
    this.#wantTimer ??= setTimeout(() => this.#want(), 80);
  }

  say(text: string): void {
    this.#send({ type: "send_chat", text });
  }

  /** Whether the chat is on the screen: what is seen there is read. */
  showChat(open: boolean): void {
    this.#chatOpen = open;
    if (open) this.unread.set(0);
  }

  host(action: HostVerb, participant?: string): void {
    this.#send({ type: "host", action, ...(participant ? { participant } : {}) });
  }

  /** Leaves for good; also right while the page is going away. */
  leave(): void {
    this.#send({ type: "leave" });
    this.#over("left");
  }

  async #run(ticket: Ticket): Promise<void> {
    const { signal } = this.#life;
    try {
      await this.#firstJoin(ticket.offers);
      this.#recorder.event(`joined on ${this.#answer?.mmr} in zone ${this.#answer?.zone}`);
      this.#watch(signal);
      void this.#media.settled.then(async () => {
        await this.#measure();
        postReport(this.report(), this.#package.token);
      });
      while (!signal.aborted) {
        this.status.set({ state: "live" });
        await this.#lost();
      }
    } catch (error) {
      if (!signal.aborted) this.#over("failed", "", problemOf(error));
    }
  }

  async #firstJoin(offers: Offers): Promise<void> {
    const { answer, phase } = await this.#admit(offers, this.#recorder, this.#life.signal);
    try {
      await this.#enter(this.#connections, answer, phase);
      phase.done();
    } catch (error) {
      const p = problemOf(error);
      phase.fail(p);
      if (p.code !== "control_failed" && p.code !== "session_unknown") throw error;
      // That router was lost in this very moment, or we may not go there: another one, or another way.
      if (p.code === "control_failed") this.#takeLastWay("the router's control channel was not reached");
      for (const attempt of await this.#rejoin(true)) phase.attempt(attempt);
      phase.done();
    }
  }

  /** Goes through the gateway from now on, if there is one. */
  #takeLastWay(why: string): void {
    const last = lastWay(this.#package);
    if (!last || this.#way.route === last.route) return;
    this.#way = last;
    this.#wayIsLast = true;
    this.#recorder.route(last.route);
    this.#recorder.event(`${why}: through the ${last.via} from now on`);
  }

  #admit(offers: Offers, recorder: Recorder, signal: AbortSignal) {
    return admit(this.#ranked, this.#way, this.#package.token, offers, clientInfo(), recorder, signal);
  }

  /** Waits until control or media is lost and brings it back; returns when live again. */
  async #lost(): Promise<void> {
    const control = this.#control;
    if (!control) throw new Error("no control channel");
    const media = this.#media;
    const what = await Promise.race([control.ended, media.failed]);
    if (what === "media" || what === "cut") {
      this.#recorder.event(what === "cut" ? "the media path was cut" : "the media path was lost");
      if (!media.everConnected) this.#takeLastWay("no media path to the router was found");
      return this.#comeBack(what, media.everConnected ? 0 : 1);
    }
    const final = finalFor(what);
    if (final) return this.#farewell(what);
    this.#recorder.event(`the control channel was lost`);
    return this.#comeBack("control", 0);
  }

  /** Tries until it works, or until there is no meeting to come back to. */
  async #comeBack(what: "control" | Loss, first: number): Promise<void> {
    this.status.set({ state: "reconnecting", what: what === "control" ? what : "media" });
    for (let n = first; ; n++) {
      await pause(backoff(n), this.#life.signal);
      try {
        // The same session first: perhaps only the channel broke. Then any router.
        if (what === "control" && n < 2) await this.#reopen();
        else await this.#rejoin(what === "cut" && n === 0);
        this.#recorder.event("back in the meeting");
        return;
      } catch (error) {
        this.#life.signal.throwIfAborted();
        const p = problemOf(error);
        this.#recorder.event(`could not come back: ${p.detail ?? p.title}`);
        if (p.code === "control_failed" && n > 2) this.#takeLastWay("the router's control channel is out of reach");
        if (p.code === "session_unknown") n = Math.max(n, 1);
        if (["meeting_ended", "meeting_not_found", "bad_invitation", "wrong_passcode", "removed"].includes(p.code))
          throw error;
      }
    }
  }

  async #reopen(): Promise<void> {
    if (!this.#answer) throw new Error("not admitted");
    await this.#openControl(this.#answer, 3000);
  }

  /**
   * All phases anew, as the same participant; says what was attempted for a
   * router. When quick, what phases 1 and 2 found out a while ago holds: only
   * the way to one router is gone.
   */
  async #rejoin(quick: boolean): Promise<Attempt[]> {
    const { signal } = this.#life;
    const scratch = new Recorder(this.link.number);
    const attempt = new AbortController();
    const life = AbortSignal.any([signal, attempt.signal]);
    const connections = new Connections(videoSlots());
    try {
      const { name } = this.#package.participant;
      try {
        const person = { name, client: clientInfo(), token: this.#package.token };
        if (!quick) {
          this.#package = await lookup(this.link, person, scratch, life);
          await this.#findWay(life);
        }
      } catch (error) {
        // Web may be down while the zones are up: what it said before still holds.
        if (
          !["web_unreachable", "internal", "rate_limited", "zones_unreachable", "no_zone"].includes(
            problemOf(error).code,
          )
        )
          throw error;
      }
      const offers = await connections.offers();
      const { answer, phase } = await this.#admit(offers, scratch, life);
      this.#connections.close();
      this.#connections = connections;
      this.#media.close();
      this.#media = new MediaPhase(connections, this.#recorder.lacks("media") ? this.#recorder : null, signal);
      this.#media.guard(() => this.#control);
      this.#lipSync.reset();
      this.#reader.reset();
      this.#recorder.admitted(answer);
      await this.#enter(connections, answer, phase);
      return scratch.report().phases.find((p) => p.name === "mmr")?.attempts ?? [];
    } catch (error) {
      if (this.#connections !== connections) connections.close();
      throw error;
    } finally {
      attempt.abort();
    }
  }

  /** Finds the zones anew, and how to reach them. */
  async #findWay(signal: AbortSignal): Promise<void> {
    const found = await findZones(this.#package, this.#answer?.zone ?? "", signal);
    this.#ranked = found.ranked;
    if (this.#wayIsLast) return;
    this.#way = found.way;
    this.#recorder.route(found.way.route);
  }

  /** Media and control channel come up side by side. */
  async #enter(connections: Connections, answer: JoinAnswer, phase: Phase): Promise<void> {
    this.#answer = answer;
    this.publisher.attach(connections);
    const streams = new Map<SlotID, MediaStream>();
    for (const [slot, receiver] of connections.receivers) {
      streams.set(slot, new MediaStream([receiver.track]));
      if (receiver.track.kind === "audio") this.sound.play(slot, receiver.track);
    }
    this.streams.set(streams);
    const accepted = connections.accept(answer.answers, answer.turn);
    accepted.catch(() => {}); // awaited below
    const began = performance.now();
    const attempt = {
      target: answer.control_url,
      transport: "wss",
      via: this.#way.via,
      tls_ms: 0,
      rtt_ms: 0,
      jitter_ms: 0,
    };
    try {
      await this.#openControl(answer, 5500);
      phase.attempt({ ...attempt, connect_ms: Math.round(performance.now() - began), ok: true });
    } catch (error) {
      phase.attempt({ ...attempt, connect_ms: 0, ok: false, error: problemOf(error).title });
      throw error;
    }
    await accepted;
  }

  async #openControl(answer: JoinAnswer, limitMS: number): Promise<void> {
    this.#control?.close();
    const hello = { session: answer.session, token: this.#package.token };
    const first: FromClient[] = [{ type: "set_state", ...stateOf(this.publisher.local.get()) }];
    const { signal } = this.#life;
    this.#control = await Control.open(answer.control_url, hello, first, (m) => this.#receive(m), signal, limitMS);
    this.#want(true); // what was wished for while there was no channel never arrived
  }

  #receive(message: FromRouter): void {
    if (message.type === "sync") {
      this.#lipSync.learn(message.slots ?? []);
      return;
    }
    const { state, notices } = reduce(this.room.get(), message);
    this.room.set(state);
    if (message.type === "muted") void this.publisher.setMicrophone(false);
    if (message.type === "roster") this.#handFrom(state);
    for (const notice of notices) {
      if (notice.what === "chat" && !this.#chatOpen) this.unread.update((n) => n + 1);
      this.notices.emit(notice);
    }
    if (message.type === "roster" || message.type === "welcome") this.look(this.#tiles);
    if (message.type === "speakers" || message.type === "roster") this.#refocus();
  }

  /** A host may have lowered our hand. */
  #handFrom(state: RoomState): void {
    const me = state.participants.get(state.me);
    if (me && this.publisher.local.get().handRaised && !isRaised(me) && this.#handTold) this.publisher.setHand(false);
    if (me) this.#handTold = isRaised(me);
  }
  #handTold = false;

  #refocus(): void {
    const { speakers, participants, me } = this.room.get();
    const others = new Set([...participants.keys()].filter((id) => id !== me));
    this.#focus = refocus(this.#focus, speakers, others, performance.now());
    this.focus.set(this.#focus.participant);
  }

  #want(anew = false): void {
    clearTimeout(this.#wantTimer);
    this.#wantTimer = undefined;
    const { participants, me } = this.room.get();
    const seen = this.#tiles.filter((t) => {
      const p = participants.get(t.participant);
      return p !== undefined && t.participant !== me && !p.video_muted;
    });
    const slots = [...this.#connections.receivers.keys()].filter((s) => s.startsWith("v")).length;
    const wants = assign(this.#wants, seen, slots);
    if (!anew && same(wants, this.#wants)) return;
    this.#wants = wants;
    this.#send({ type: "want", slots: wants });
  }

  #tellState(now: Local): void {
    this.#send({ type: "set_state", ...stateOf(now) });
  }

  #send(message: FromClient): void {
    this.#control?.send(message);
  }

  /** What runs all the time while in the meeting. */
  #watch(signal: AbortSignal): void {
    every(500, () => void this.#lipSync.tick(this.room.get(), this.#connections).catch(() => {}), signal);
    every(300, () => this.#refocus(), signal);
    const measure = () => void this.#measure().catch(() => {}); // fails only when closed meanwhile
    every(2000, measure, signal);
    measure();
  }

  async #measure(): Promise<void> {
    const stats = await this.#reader.read(this.#connections);
    if (this.#life.signal.aborted) return;
    this.stats.set(stats);
    for (const kind of mediaKinds) {
      const { transport, remote, sent, received, lost, acknowledged } = stats[kind];
      if (remote === "") continue;
      if (this.#rungs[kind] !== transport) this.#recorder.event(`${kind} goes over ${transport} to ${remote}`);
      this.#rungs[kind] = transport;
      if (received > 0 || (acknowledged && sent > 0)) this.#recorder.flows(kind);
      const counts = { packets_sent: sent, packets_received: received, packets_lost: lost };
      this.#recorder.media(kind, { transport, remote, ...counts });
    }
  }

  async #farewell(ending: Ending): Promise<void> {
    if (ending.why === "farewell") {
      const by = this.room.get().participants.get(ending.message.by ?? "")?.name ?? "";
      this.#over(ending.message.reason, by);
    } else if (ending.why === "refused") this.#over("failed", "", ending.message.problem);
    this.#life.signal.throwIfAborted();
  }

  #over(reason: FarewellReason | "failed", by = "", p: Problem | null = null): void {
    if (this.#life.signal.aborted) return;
    this.#recorder.event(reason === "failed" ? `failed: ${p?.detail ?? p?.title ?? ""}` : `over: ${reason}`);
    postReport(this.report(), this.#package.token);
    clearTimeout(this.#wantTimer);
    this.#life.abort();
    this.#control?.close();
    this.#media.close();
    this.#connections.close();
    this.sound.close();
    const told = reason === "removed" ? problem("removed") : p;
    this.status.set({ state: "over", reason, by, problem: told });
  }
}

function stateOf(l: Local) {
  return { audio_muted: !l.microphoneOn, video_muted: !l.cameraOn, sharing: l.sharing, hand_raised: l.handRaised };
}
