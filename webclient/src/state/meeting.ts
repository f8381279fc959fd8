// One participation in a meeting, from Join to the end: admission, the session
// with a router, and the next session when that router dies, drains, or a
// better way is found. The user interface watches its values and calls its
// verbs.
import { Connections, mediaKinds } from "../media/connections.ts";
import type { Devices } from "../media/devices.ts";
import { Sound } from "../media/sound.ts";
import { Emitter, every, pause, type Readable, Value } from "../media/value.ts";
import type {
  FarewellReason,
  FromClient,
  FromRouter,
  HostVerb,
  MediaKind,
  Problem,
  Report,
  Resume,
  Transport,
} from "../protocol/messages.ts";
import { problem, problemOf } from "../protocol/problems.ts";
import { postReport } from "./api.ts";
import { cameraCodec, videoSlots } from "./client.ts";
import { backoff, climbWait, hopeless } from "./comeback.ts";
import type { Ending } from "./control.ts";
import type { Ticket } from "./entry.ts";
import { type Focus, noFocus, refocus } from "./focus.ts";
import type { MeetingLink } from "./link.ts";
import type { LiveStats } from "./live.ts";
import { recordMedia } from "./mediaphase.ts";
import { watchNetwork } from "./network.ts";
import { Outbox, type Unsent } from "./outbox.ts";
import { type Local, Publisher } from "./publisher.ts";
import type { Recorder } from "./report.ts";
import { emptyRoom, isAttendee, isRaised, type Notice, type RoomState, reduce } from "./room.ts";
import type { Loss, Session } from "./session.ts";
import { type Pictures, samePictures } from "./slots.ts";
import { type Household, Succession, Unwanted } from "./succession.ts";
import type { VisibleTile } from "./wants.ts";
import { WayIn } from "./wayin.ts";

/** How the participation stands. */
export type MeetingStatus =
  | { state: "joining" }
  | { state: "live" }
  | { state: "reconnecting"; what: "control" | "media" }
  | { state: "over"; reason: FarewellReason | "failed"; by: string; problem: Problem | null };

/** How long a session that stood by may take to let us in, in ms. */
const enterMS = 1500;

/** How long after media has come up the report is left with the server, in ms. */
const reportMS = 1000;

/** How soon a new channel has told what is known on its side, in ms. */
const afreshMS = 300;

/** For so long nobody is told of a loss: it may be over before it is noticed. */
const unnoticedMS = { media: 600, control: 3000 };

/** Owns everything that a participation uses. It ends by leave, by the router's farewell, or by failing to join. */
export class Meeting {
  readonly status = new Value<MeetingStatus>({ state: "joining" });
  readonly room: Value<RoomState>;
  /** What there is to see. */
  readonly pictures = new Value<Pictures<MediaStream>>({ cameras: new Map(), screen: null });
  readonly focus = new Value("");
  readonly unread = new Value(0);
  readonly stats = new Value<LiveStats | null>(null);
  readonly notices = new Emitter<Notice>();
  readonly sound = new Sound();
  readonly publisher: Publisher;
  readonly link: MeetingLink;
  /** How many pictures can be received at a time. */
  readonly videoSlots: number;

  readonly #life = new AbortController();
  readonly #recorder: Recorder;
  readonly #rungs: Partial<Record<MediaKind, Transport>> = {};
  readonly #wayIn: WayIn;
  readonly #sessions: Succession;
  /** What is on the screen; null until the stage has said. */
  #tiles: readonly VisibleTile[] | null = null;
  #wantTimer: ReturnType<typeof setTimeout> | undefined;
  #focus: Focus = noFocus;
  readonly #outbox = new Outbox();
  #chatOpen = false;
  #handTold = false;

  constructor(ticket: Ticket, devices: Devices, on: { microphone: boolean; camera: boolean }) {
    const { signal } = this.#life;
    this.link = ticket.link;
    this.#recorder = ticket.recorder;
    this.#wayIn = new WayIn(ticket);
    this.videoSlots = [...ticket.connections.receivers.keys()].filter((s) => s.startsWith("v")).length;
    this.room = new Value(emptyRoom(ticket.pkg.meeting, ticket.pkg.participant.id));
    const watching = ticket.pkg.participant.role === "attendee";
    this.publisher = new Publisher(devices, { ...on, watching }, signal);
    this.#sessions = new Succession(this.#household());
    this.publisher.local.subscribe((now) => this.#send(stateOf(now)));
    this.sound.use(devices.choice.get().speaker ?? "");
    const stop = devices.choice.subscribe((c) => this.sound.use(c.speaker ?? ""));
    signal.addEventListener("abort", stop);
    void this.#run(ticket);
  }

  /** The token with which to come back as the same participant. */
  get token(): string {
    return this.#wayIn.token;
  }

  report(): Report {
    return this.#recorder.report();
  }

  /** Skews of sound against picture in ms, by participant. */
  skews(): Map<string, number> {
    return this.#session?.playout.skews() ?? new Map();
  }

  /** Round trip of the control channel in ms. */
  controlRTT(): number {
    return this.#session?.rtt ?? 0;
  }

  /** Says which pictures are on the screen; the router is asked for them shortly after. */
  look(tiles: readonly VisibleTile[]): void {
    this.#tiles = tiles;
    this.#wantTimer ??= setTimeout(() => this.#want(), 80);
  }

  /** Whether one stream took the place of another as its session did, so that they show the same. */
  readonly replaces = (old: MediaStream, next: MediaStream): boolean => this.#sessions.replaces(old, next);

  /** Says something to everyone, as soon as there is a control channel. */
  say(text: string): void {
    this.#outbox.add(text);
    this.#send({ type: "send_chat", text });
  }

  /** What one has said and others have not seen yet. */
  get unsent(): Readable<readonly Unsent[]> {
    return this.#outbox.waiting;
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

  get #session(): Session | null {
    return this.#sessions.current;
  }

  async #run(ticket: Ticket): Promise<void> {
    const { signal } = this.#life;
    try {
      const session = await this.#firstJoin(ticket);
      this.#recorder.event(`joined on ${session.answer.mmr} in zone ${session.answer.zone}`);
      this.#watch(signal);
      while (!signal.aborted) {
        this.#live();
        await this.#oneLoss();
      }
    } catch (error) {
      if (!signal.aborted) this.#over("failed", "", problemOf(error));
    }
  }

  #live(): void {
    if (this.status.get().state !== "live") this.status.set({ state: "live" });
  }

  /** Goes in by the session that stood by, with one message; null if that was of no use. */
  async #enterAtOnce({ connections, ready }: Ticket): Promise<Session | null> {
    if (!ready) return null;
    const session = this.#sessions.first(connections, ready.answer);
    try {
      await session.attach(enterMS, ready.control);
    } catch (error) {
      this.#life.signal.throwIfAborted();
      const p = problemOf(error);
      this.#recorder.event(`the session that stood by was of no use: ${p.detail ?? p.title}`);
      return null;
    }
    void recordMedia(connections, this.#recorder, session.signal).then(() => this.#firstReport());
    return session;
  }

  async #firstJoin(ticket: Ticket): Promise<Session> {
    const entered = await this.#enterAtOnce(ticket);
    if (entered) return entered;
    const connections = ticket.ready ? new Connections(videoSlots(), cameraCodec) : ticket.connections;
    const offers = await connections.offers();
    const admitted = await this.#wayIn.admit(offers, null, this.#recorder, this.#life.signal).catch((error) => {
      connections.close();
      throw error;
    });
    const { phase } = admitted;
    const session = this.#sessions.first(connections, admitted.answer);
    void recordMedia(connections, this.#recorder, session.signal).then(() => this.#firstReport());
    try {
      await this.#sessions.enter(session, phase);
      phase.done();
      return session;
    } catch (error) {
      const p = problemOf(error);
      phase.fail(p);
      if (p.code !== "control_failed" && p.code !== "session_unknown") throw error;
      // That router was lost in this very moment, or we may not go there: another one, or another way.
      if (p.code === "control_failed") this.#wayIn.takeLast("the router's control channel was not reached");
      const { session: other, attempts } = await this.#sessions.succeed({
        quick: true,
        // A session that is unknown was replaced by another one of ours, where two controllers were asked.
        resume: p.code === "session_unknown" ? null : this.#resume(session, "dead"),
        side: false,
        wanted: () => true,
      });
      for (const attempt of attempts) phase.attempt(attempt);
      phase.done();
      return other;
    }
  }

  /** Leaves the report with the server once media had its time, and the first pictures theirs: reading counters takes some. */
  async #firstReport(): Promise<void> {
    const { signal } = this.#life;
    await pause(reportMS, signal).catch(() => {});
    if (signal.aborted) return;
    await this.#measure().catch(() => {}); // fails only when closed meanwhile
    postReport(this.report(), this.token);
  }

  /** Waits until the session is lost, and for what takes its place; returns when live again. */
  async #oneLoss(): Promise<void> {
    const session = this.#session;
    if (!session) throw new Error("no session");
    const loss = await session.lost();
    const replacing = this.#sessions.work;
    if (replacing) await replacing.catch(() => {}); // whoever began it deals with its failure
    if (session !== this.#session) return;
    if (loss.why === "closed") this.#life.signal.throwIfAborted();
    // Ourselves, taken for somebody who joined from elsewhere.
    const byUs = loss.why === "over" && loss.ending.why === "farewell" && loss.ending.message.reason === "resumed";
    if (loss.why === "over" && !(byUs && replacing)) return this.#farewell(loss.ending);
    await this.#comeBack(session, loss.why === "over" ? "closed" : loss.why);
  }

  /** Tries until it works, or until there is no meeting to come back to. */
  async #comeBack(session: Session, why: Exclude<Loss["why"], "over">): Promise<void> {
    const words = { dead: "the router is dead", cut: "the media path was cut", media: "the media path was lost" };
    this.#recorder.event(why in words ? words[why as keyof typeof words] : "the router ended the session");
    const { everConnected } = session.vigil;
    if (why === "media" && !everConnected) this.#wayIn.takeLast("no media path to the router was found");
    const shown = setTimeout(() => this.status.set({ state: "reconnecting", what: "media" }), unnoticedMS.media);
    const reason = why === "media" && !everConnected ? "media" : "dead";
    const elsewhere = why === "dead" || why === "gone" || (why === "media" && !everConnected);
    try {
      for (let n = 0; ; n++) {
        if (n > 0) await this.#pauseOrNetwork(backoff(n));
        if (session !== this.#session || (n > 0 && session.well)) return;
        try {
          const wanted = () => !session.well;
          const resume = this.#resume(session, reason, elsewhere);
          await this.#sessions.succeed({ quick: n === 0, resume, side: why === "cut", wanted });
          this.#recorder.event(`back in the meeting, on ${this.#session?.answer.mmr}`);
          return;
        } catch (error) {
          this.#life.signal.throwIfAborted();
          if (error instanceof Unwanted) return this.#recorder.event("the session came back by itself");
          const p = problemOf(error);
          this.#recorder.event(`could not come back: ${p.detail ?? p.title}`);
          if (p.code === "control_failed" && n > 1)
            this.#wayIn.takeLast("the router's control channel is out of reach");
          if (hopeless(p.code)) throw error;
        }
      }
    } finally {
      clearTimeout(shown);
    }
  }

  #resume(session: Session, reason: Resume["reason"], elsewhere = true): Resume {
    const { session: id, zone, mmr } = session.answer;
    const { admitted } = session;
    const { participants, me } = this.room.get();
    const own = participants.get(me);
    return {
      session: id,
      zone,
      mmr: elsewhere ? mmr : "",
      reason,
      ...(admitted ? { admitted } : {}),
      // For when no router is left that knows.
      ...(own ? { joined_at: own.joined_at } : {}),
      ...(own?.hand_raised_at ? { hand_raised_at: own.hand_raised_at } : {}),
    };
  }

  /** The router goes: another session is brought up beside this one. */
  async #move(session: Session, deadlineMS: number): Promise<void> {
    this.#recorder.event(`the router asks to move within ${Math.round(deadlineMS / 1000)} s`);
    const until = performance.now() + deadlineMS;
    const resume = this.#resume(session, "drain");
    for (let n = 0; performance.now() < until; n++) {
      await this.#pauseOrNetwork(backoff(n));
      await this.#sessions.work?.catch(() => {}); // perhaps that has moved us already
      if (session !== this.#session || this.#life.signal.aborted) return;
      try {
        await this.#sessions.succeed({ quick: n === 0, resume, side: true, wanted: () => true });
        return this.#recorder.event(`moved to ${this.#session?.answer.mmr}`);
      } catch (error) {
        if (this.#life.signal.aborted) return;
        const p = problemOf(error);
        this.#recorder.event(`could not move: ${p.detail ?? p.title}`);
      }
    }
  }

  /** Tries again and again to get from TCP or TLS back to UDP, at growing intervals, and when the network changes. */
  async #climb(): Promise<void> {
    let [tries, steadyFrom] = [0, performance.now()];
    for (;;) {
      const changed = await this.#pauseOrNetwork(climbWait(tries));
      const session = this.#session;
      if (Object.values(this.#rungs).every((rung) => rung === "udp")) {
        if (performance.now() - steadyFrom > 60_000) tries = 0;
        continue;
      }
      if (changed) tries = 0;
      if (!session?.well || this.#sessions.work || this.#sessions.before) continue;
      try {
        const resume = this.#resume(session, "media", false);
        await this.#sessions.succeed({
          quick: true,
          resume,
          rung: "udp",
          side: true,
          wanted: () => session === this.#session,
        });
        this.#recorder.event("climbed back to UDP");
        steadyFrom = performance.now();
      } catch {
        this.#life.signal.throwIfAborted();
      }
      tries++;
    }
  }

  #household(): Household {
    return {
      wayIn: this.#wayIn,
      recorder: this.#recorder,
      publisher: this.publisher,
      sound: this.sound,
      signal: this.#life.signal,
      token: () => this.token,
      state: () => stateOf(this.publisher.local.get()),
      detours: (url) => this.#wayIn.detours(url),
      asked: (session, { deadline_ms }) => void this.#move(session, deadline_ms).catch(() => {}), // the meeting is over
      told: (message) => this.#apply(message),
      ready: () => {
        this.#handTold = false; // by this session, or this channel
        // Shortly after: what the slots show already is known by then, and stays where it is.
        if (this.#tiles) this.look(this.#tiles);
        void this.#sayAgain().catch(() => {}); // the meeting is over
      },
      changed: () => this.#show(),
      unheard: (session, since) => this.#tellUnheard(session, since),
    };
  }

  #show(): void {
    const next = this.#sessions.pictures();
    if (next.screen && !this.room.get().participants.get(next.screen.by)) next.screen = null;
    if (!samePictures(next, this.pictures.get())) this.pictures.set(next);
  }

  /** Without the control channel media goes on; what is written or raised arrives only when it is back. */
  #tellUnheard(session: Session, since: number): void {
    if (since === 0) {
      const now = this.status.get();
      if (now.state === "reconnecting" && now.what === "control") this.#live();
      return;
    }
    const still = () => session === this.#session && session.unheard.get() === since;
    const tell = () => {
      if (still() && this.status.get().state === "live") this.status.set({ state: "reconnecting", what: "control" });
    };
    void pause(unnoticedMS.control, session.signal).then(tell, () => {});
  }

  /** Waits; ends early, with true, when the network has changed. */
  async #pauseOrNetwork(ms: number): Promise<boolean> {
    const early = new AbortController();
    const signal = AbortSignal.any([this.#life.signal, early.signal]);
    watchNetwork((online) => online && early.abort(), signal);
    try {
      await pause(ms, signal);
      return false;
    } catch {
      this.#life.signal.throwIfAborted();
      return true;
    } finally {
      early.abort();
    }
  }

  #apply(message: FromRouter): void {
    const before = this.room.get();
    const { state, notices } = reduce(before, message);
    this.room.set(state);
    if (message.type === "chat" || message.type === "welcome") this.#heardBack(before, state);
    if (message.type === "muted") void this.publisher.setMicrophone(false);
    if (message.type === "roster") this.#handFrom(state);
    if (message.type === "roster" || message.type === "welcome") this.#roleFrom(state, message.type === "roster");
    for (const notice of notices) {
      if (notice.what === "chat" && !this.#chatOpen) this.unread.update((n) => n + 1);
      this.notices.emit(notice);
    }
    if ((message.type === "roster" || message.type === "welcome") && this.#tiles) this.look(this.#tiles);
    if (message.type === "speakers" || message.type === "roster") this.#refocus();
  }

  /** What is new in the chat and one's own has arrived. */
  #heardBack(before: RoomState, now: RoomState): void {
    const known = new Set(before.chat.map((c) => c.id));
    for (const said of now.chat) if (said.from === now.me && !known.has(said.id)) this.#outbox.heard(said.text);
  }

  /** There is a new channel: what was lost with the one before is said again, once this one has told what arrived. */
  async #sayAgain(): Promise<void> {
    const said = this.#outbox.waiting.get();
    await pause(afreshMS, this.#life.signal);
    for (const { text } of this.#outbox.still(said)) this.#send({ type: "send_chat", text });
  }

  /** A host may have lowered our hand. */
  #handFrom(state: RoomState): void {
    const me = state.participants.get(state.me);
    if (me && this.publisher.local.get().handRaised && !isRaised(me) && this.#handTold) this.publisher.setHand(false);
    if (me) this.#handTold = isRaised(me);
  }

  /** A host brings us up to speak in a webinar, or sends us back. A new router may not know at once that we are up. */
  #roleFrom(state: RoomState, changed: boolean): void {
    const me = state.participants.get(state.me);
    if (me) this.publisher.setWatching(isAttendee(me), changed && isAttendee(me));
  }

  #refocus(): void {
    const { speakers, participants, me } = this.room.get();
    const others = new Set([...participants.keys()].filter((id) => id !== me));
    this.#focus = refocus(this.#focus, speakers, others, performance.now());
    this.focus.set(this.#focus.participant);
  }

  #want(): void {
    clearTimeout(this.#wantTimer);
    this.#wantTimer = undefined;
    const { participants, me } = this.room.get();
    // Before there is a stage with people on it, what was asked for with the hello holds.
    if (!this.#tiles || participants.size === 0) return;
    const seen = this.#tiles.filter((t) => {
      const p = participants.get(t.participant);
      return p !== undefined && t.participant !== me && !p.video_muted;
    });
    this.#session?.want(seen);
  }

  #send(message: FromClient): void {
    this.#session?.send(message);
  }

  /** What runs all the time while in the meeting. */
  #watch(signal: AbortSignal): void {
    const steer = () => {
      const session = this.#session;
      void session?.playout.tick(session.slots.get(), session.connections).catch(() => {});
    };
    every(500, steer, signal);
    every(300, () => this.#refocus(), signal);
    const measure = () => void this.#measure().catch(() => {}); // fails only when closed meanwhile
    every(2000, measure, signal);
    void pause(reportMS, signal).then(measure, () => {});
    watchNetwork((online) => this.#networkChanged(online), signal);
    void this.#climb().catch(() => {}); // the meeting is over
  }

  #networkChanged(online: boolean): void {
    this.#recorder.event(online ? "the network has changed" : "there is no network");
    if (online) this.#session?.readdress();
  }

  async #measure(): Promise<void> {
    const session = this.#session;
    if (!session) return;
    const stats = await session.measure();
    if (this.#life.signal.aborted || session !== this.#session) return;
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

  #farewell(ending: Ending): void {
    if (ending.why === "farewell") {
      const by = this.room.get().participants.get(ending.message.by ?? "")?.name ?? "";
      this.#over(ending.message.reason, by);
    } else if (ending.why === "refused") this.#over("failed", "", ending.message.problem);
    this.#life.signal.throwIfAborted();
  }

  #over(reason: FarewellReason | "failed", by = "", p: Problem | null = null): void {
    if (this.#life.signal.aborted) return;
    this.#recorder.event(reason === "failed" ? `failed: ${p?.detail ?? p?.title ?? ""}` : `over: ${reason}`);
    postReport(this.report(), this.token);
    clearTimeout(this.#wantTimer);
    this.#life.abort();
    this.#sessions.close();
    this.sound.close();
    const told = reason === "removed" ? problem("removed") : p;
    this.status.set({ state: "over", reason, by, problem: told });
  }
}

function stateOf(l: Local): FromClient {
  return {
    type: "set_state",
    audio_muted: l.watching || !l.microphoneOn,
    video_muted: l.watching || !l.cameraOn,
    sharing: l.sharing && !l.watching,
    hand_raised: l.handRaised,
  };
}
