// A make-believe system for tests of a whole participation: a zone with two
// routers that can die, freeze, or lose their media path, and a browser that
// talks to them, all on fake timers.
import { vi } from "vitest";
import { Connections } from "../media/connections.ts";
import type { Devices } from "../media/devices.ts";
import { Emitter, Value } from "../media/value.ts";
import type { FromClient, FromRouter, JoinAnswer, JoinRequest, Package } from "../protocol/messages.ts";
import { problem } from "../protocol/problems.ts";
import type { Ticket } from "./entry.ts";
import { Meeting } from "./meeting.ts";
import { Recorder } from "./report.ts";
import { direct } from "./way.ts";

/** One router, as the network shows it. */
export class Router {
  /** The process answers nothing and accepts nothing. */
  dead = false;
  /** It accepts, and answers nothing. */
  frozen = false;
  /** Its media does not get through. */
  cut = false;
  /** It takes no new control channels. */
  deaf = false;
  /** It has no room for anybody who would enter. */
  full = false;
  /** Sessions on standby. */
  readonly standing = new Set<string>();
  sockets: Socket[] = [];
  /** When it stopped sending media, for the counters. */
  silentFrom = Number.POSITIVE_INFINITY;

  constructor(readonly name: string) {}

  /** Media is silent from now on. */
  silence(): void {
    this.silentFrom = performance.now();
  }

  kill(): void {
    this.dead = true;
    this.silence();
    for (const socket of this.sockets) socket.drop();
  }

  freeze(): void {
    this.frozen = true;
    this.silence();
  }

  say(message: FromRouter): void {
    this.sockets.at(-1)?.hear(message);
  }

  /** What it was told on the channel opened last. */
  get told(): FromClient[] {
    return this.sockets.at(-1)?.sent ?? [];
  }
}

class Socket extends EventTarget {
  static readonly OPEN = 1;
  readyState = 0;
  readonly sent: FromClient[] = [];
  readonly #router: Router | undefined;

  constructor(readonly url: string) {
    super();
    this.#router = world.routers.find((r) => decodeURIComponent(url).includes(`//${r.name}/`));
    const refused = !this.#router || this.#router.dead || (this.#router.deaf && !url.includes("gateway"));
    setTimeout(() => (refused ? this.drop() : this.#open()), 5);
  }

  #open(): void {
    this.readyState = 1;
    this.#router?.sockets.push(this);
    this.dispatchEvent(new Event("open"));
  }

  send(text: string): void {
    const message = JSON.parse(text) as FromClient;
    this.sent.push(message);
    if (this.#router?.frozen || this.#router?.dead) return;
    setTimeout(() => this.#answer(message), 10);
  }

  #answer(message: FromClient): void {
    if (message.type === "ping") this.hear({ type: "pong", n: message.n, now_ms: 0 });
    if (message.type !== "hello" && message.type !== "enter") return;
    if (message.type === "hello" && this.#router?.standing.has(message.session))
      this.hear({ type: "standby", for_ms: 120_000 });
    else if (message.type === "enter" && this.#router?.full)
      this.hear({ type: "refusal", problem: problem("zone_full"), fatal: true });
    else {
      this.#router?.standing.clear();
      this.#welcome();
    }
  }

  #welcome(): void {
    const participants = [
      { id: "me", name: "Me", role: "participant" as const, joined_at: "1", audio_muted: false, video_muted: false },
    ].map((p) => ({ ...p, sharing: false, path: "ok" as const }));
    const { meeting } = world.pkg;
    const mine = { participant: "me", admitted: world.joins.length };
    this.hear({ type: "welcome", meeting, ...mine, participants, slots: [], chat: [], now_ms: 0 });
  }

  hear(message: FromRouter): void {
    if (this.readyState === 1) this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }

  drop(): void {
    this.readyState = 3;
    this.dispatchEvent(new Event("close"));
  }

  close(): void {
    this.readyState = 3;
  }
}

const track = (kind: string) => Object.assign(new EventTarget(), { kind, muted: true, stop: () => {} });

class Peer extends EventTarget {
  connectionState = "new";
  signalingState = "stable";
  remote = "";
  currentLocalDescription: { sdp: string } | null = null;
  #restarts = 0;
  #closed = false;
  #since = 0;
  #protocol = "";

  constructor() {
    super();
    world.peers.push(this);
  }

  addTransceiver(kind: string) {
    const sender = {
      track: null as unknown,
      replaceTrack: async (t: unknown) => {
        sender.track = t;
      },
      getParameters: () => ({ encodings: [{ active: true }] }),
      setParameters: async () => {},
      getStats: () => this.getStats(),
    };
    const receiver = { track: track(kind), getSynchronizationSources: () => [], getStats: async () => new Map() };
    return { setCodecPreferences: () => {}, sender, receiver };
  }
  setConfiguration() {}
  async createOffer(options: RTCOfferOptions = {}) {
    if (options.iceRestart) this.#restarts++;
    const ice = `a=ice-ufrag:u${this.#restarts}\r\na=ice-pwd:p${this.#restarts}\r\n`;
    return { type: "offer", sdp: `v=0\r\n${ice}` };
  }
  async setLocalDescription(description: { sdp: string }) {
    this.currentLocalDescription = description;
  }
  get currentRemoteDescription() {
    return this.remote ? { sdp: this.remote } : null;
  }
  async setRemoteDescription({ sdp }: { sdp: string }) {
    this.remote = sdp;
    const possible = /^a=candidate/m.test(sdp) && !(world.noUDP && !/ tcp /.test(sdp));
    this.#since = performance.now();
    this.#protocol = world.noUDP || !/ udp /.test(sdp) ? "tcp" : "udp";
    if (world.noAddress) setTimeout(() => this.#state("failed"), 1);
    else if (possible) setTimeout(() => this.#state("connected"), 30);
  }
  #state(state: string) {
    if (this.#closed) return;
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
  fail() {
    this.#state("failed");
  }
  get router(): Router | undefined {
    return world.routers.find((r) => this.remote.includes(`s=${r.name}\r\n`));
  }
  async getStats() {
    const now = performance.now();
    const until = Math.min(now, this.router?.silentFrom ?? 0);
    const up = this.connectionState === "connected";
    const bytesReceived = up ? Math.max(0, Math.floor((until - this.#since) / 50)) * 100 : 0;
    const packetsSent = up ? Math.floor((now - this.#since) / 20) : 0;
    const protocol = this.#protocol;
    return new Map<string, object>([
      ["T", { id: "T", type: "transport", selectedCandidatePairId: "P", bytesReceived, bytesSent: 0 }],
      ["P", { id: "P", type: "candidate-pair", remoteCandidateId: "R", localCandidateId: "L" }],
      ["R", { id: "R", type: "remote-candidate", address: "192.0.2.1", port: 8801, protocol }],
      ["O", { id: "O", type: "outbound-rtp", packetsSent }],
    ]);
  }
  close() {
    this.#closed = true;
    this.connectionState = "closed";
  }
}

/** The system and the browser. */
export interface World {
  routers: Router[];
  peers: Peer[];
  pkg: Package;
  /** What the controllers were asked. */
  joins: { at: number; request: JoinRequest }[];
  lookups: number;
  /** Controllers answer nothing. */
  zoneDown: boolean;
  /** Routers know what standby is. */
  standbys: boolean;
  noUDP: boolean;
  /** The browser does not know its own address yet. */
  noAddress: boolean;
  players: { muted: boolean; srcObject: unknown }[];
}

export let world: World;

/** Puts a fresh world in the place of the browser's network. */
export function createWorld(): World {
  vi.useFakeTimers();
  const controllers = [{ id: "c1", url: "https://c1" }];
  const zones = [{ id: "z", name: "Z", weight: 0, load: 0, distance_km: 0, controllers }];
  const pkg = {
    meeting: { id: "m", number: "123456789", topic: "T" },
    participant: { id: "me", name: "Me", role: "participant" },
    token: "token",
    zones,
    tunnels: [],
    gateway: "/gateway/v1",
  } as unknown as Package;
  world = {
    routers: [new Router("m1"), new Router("m2")],
    peers: [],
    pkg,
    joins: [],
    lookups: 0,
    zoneDown: false,
    standbys: true,
    noUDP: false,
    noAddress: false,
    players: [],
  };
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => answer(url, init));
  vi.stubGlobal("WebSocket", Socket);
  vi.stubGlobal("RTCPeerConnection", Peer);
  vi.stubGlobal("RTCRtpReceiver", { getCapabilities: () => null });
  vi.stubGlobal("MediaStream", class {});
  vi.stubGlobal("navigator", { userAgent: "test", onLine: true });
  vi.stubGlobal("location", { origin: "https://meet", href: "https://meet/j/1" });
  vi.stubGlobal("document", {
    createElement: (name: string) => {
      const player = { muted: false, srcObject: null, play: async () => {} };
      if (name === "audio") world.players.push(player);
      return player;
    },
  });
  return world;
}

function answer(url: string, init: RequestInit): Promise<Response> {
  const json = (body: unknown, status = 200) =>
    new Promise<Response>((resolve) => {
      setTimeout(() => resolve(new Response(JSON.stringify(body), { status })), 10);
    });
  if (url.endsWith("/lookup")) {
    world.lookups++;
    return json(world.pkg);
  }
  if (url.includes("/zone/v1/probe")) {
    if (world.zoneDown) return Promise.reject(new TypeError("refused"));
    return json({ zone: "z", controller: "c1", state: "open", load: 0, weight: 0 });
  }
  if (!url.includes("/zone/v1/join")) return json({}, 202);
  const request = JSON.parse(String(init.body)) as JoinRequest;
  world.joins.push({ at: performance.now(), request });
  if (world.zoneDown) return Promise.reject(new TypeError("refused"));
  const router = world.routers.find((r) => !r.dead && !r.frozen && r.name !== request.resume?.mmr);
  if (!router) return json(problem("zone_full"), 503);
  const sdp = `v=0\r\ns=${router.name}\r\na=candidate:1 1 udp 1 192.0.2.1 8801 typ host\r\na=candidate:2 1 tcp 1 192.0.2.1 8801 typ host\r\n`;
  const admitted: JoinAnswer = {
    zone: "z",
    controller: "c1",
    mmr: router.name,
    session: `s${world.joins.length}`,
    control_url: `wss://${router.name}/mmr/v1/control`,
    answers: { audio: sdp, video: sdp, content: sdp },
    ...(request.standby ? { standby: world.standbys } : { admitted: world.joins.length }),
  };
  if (request.standby) router.standing.add(admitted.session);
  return json(admitted);
}

/** Joins the meeting, and waits until media runs. */
export async function join(): Promise<Meeting> {
  const connections = new Connections(2);
  const zone = world.pkg.zones[0];
  const controller = zone?.controllers[0];
  const ranked = [{ zone, controller, rtts: [10], dnsMS: 0, connectMS: 0, tlsMS: 0 }] as Ticket["ranked"];
  const link = { number: "123456789", passcode: "" } as Ticket["link"];
  const ticket: Ticket = {
    link,
    pkg: world.pkg,
    ranked,
    way: direct,
    connections,
    ready: null,
    recorder: new Recorder(link.number),
  };
  return enter(ticket);
}

/** Joins with a ticket, and waits until media runs. */
export async function enter(ticket: Ticket): Promise<Meeting> {
  const meeting = new Meeting(ticket, devices(), { microphone: true, camera: true });
  await vi.advanceTimersByTimeAsync(3000);
  return meeting;
}

function devices(): Devices {
  return {
    microphone: new Value(track("audio")),
    camera: new Value(track("video")),
    choice: new Value({}),
    events: new Emitter(),
    stop: () => {},
  } as unknown as Devices;
}
