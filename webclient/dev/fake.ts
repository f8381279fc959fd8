// Plays the servers inside the page: web, a zone, a router and its media. The
// client above it is the real one, so what is seen on the stage is what a
// meeting looks like.
import type { Chat, FromClient, FromRouter, Package, Participant, SlotState } from "../src/protocol/messages.ts";
import { isCode, problem } from "../src/protocol/problems.ts";
import { personPicture, screenPicture } from "./pictures.ts";

/** What is played. */
export interface Play {
  /** Others in the meeting. */
  people: number;
  /** Whether one of them shares a screen. */
  sharing: boolean;
  /** A code with which the lookup is refused. */
  problem: string;
}

const names = [
  "Front desk", "臺北辦公室", "Workshop", "測量組", "Berlin office", "Site office", "橋梁工程部", "Drawing room",
  "Meeting room 1", "Meeting room 2", "高雄辦公室", "Quality lab", "Boat house", "採購部", "Archive", "Pier 3",
  "倉庫", "Canteen", "Crane cabin", "會議室", "Night shift", "Tower", "Helpdesk", "Gate",
]; // biome-ignore format: a list of names

const meeting = { id: "m1", number: "123456789", topic: "Harbour bridge: weekly review" };

function person(i: number): Participant {
  return {
    id: `p${i}`,
    name: names[(i - 1) % names.length] ?? `Person ${i}`,
    role: i === 1 ? "host" : "participant",
    joined_at: new Date(Date.UTC(2026, 2, 14, 9, 0, i)).toISOString(),
    audio_muted: i % 3 === 0,
    video_muted: i % 5 === 4,
    sharing: false,
    path: "ok",
    ...(i === 3 ? { hand_raised_at: "2026-03-14T09:05:00Z" } : {}),
  };
}

const answered =
  "v=0\r\na=candidate:1 1 udp 1 203.0.113.20 8801 typ host\r\na=candidate:2 1 tcp 1 203.0.113.20 8801 typ host tcptype passive\r\n";

const json = (body: unknown, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });

/** Puts the play in the place of the browser's network. */
export function install(play: Play): void {
  const router = new Router(play);
  const real = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, location.href);
    return answer(url, init, play) ?? real(input, init);
  };
  if (navigator.mediaDevices) navigator.mediaDevices.getUserMedia = async (c) => camera(c);
  if (navigator.mediaDevices) navigator.mediaDevices.enumerateDevices = async () => devices;
  globalThis.WebSocket = router.socket() as unknown as typeof WebSocket;
  globalThis.RTCPeerConnection = peerConnection(router) as unknown as typeof RTCPeerConnection;
}

const device = (kind: MediaDeviceKind, deviceId: string, label: string) =>
  ({ kind, deviceId, label, groupId: "" }) as MediaDeviceInfo;
const devices = [
  device("audioinput", "m1", "Desk microphone"),
  device("videoinput", "c1", "Integrated camera"),
  device("audiooutput", "s1", "Headphones"),
];

/** A camera with something to look at, and a silent microphone. */
function camera(wanted: MediaStreamConstraints | undefined): MediaStream {
  const tracks: MediaStreamTrack[] = [];
  if (wanted?.video) tracks.push(personPicture("me", 6));
  if (wanted?.audio) tracks.push(...new AudioContext().createMediaStreamDestination().stream.getAudioTracks());
  return new MediaStream(tracks);
}

function answer(url: URL, init: RequestInit | undefined, play: Play): Response | undefined {
  if (url.pathname.endsWith("/lookup")) {
    const asked = JSON.parse(String(init?.body)) as { name: string; passcode?: string };
    if (isCode(play.problem)) {
      const p = problem(play.problem);
      if (play.problem !== "wrong_passcode" || asked.passcode !== "open") return json(p, p.status ?? 500);
    }
    return json(packageFor(asked.name));
  }
  if (url.pathname === "/zone/v1/probe")
    return json({ zone: "tpe", controller: "tpe-1", state: "open", load: 0.2, weight: 0 });
  if (url.pathname === "/zone/v1/join") {
    return json({
      zone: "tpe",
      controller: "tpe-1",
      mmr: "tpe-mmr-2",
      session: "s",
      control_url: "wss://tpe.example.org/mmr/v1/control",
      answers: { audio: answered, video: answered, content: answered },
      turn: [{ urls: ["turns:tpe.example.org:443"], username: "u", credential: "c" }],
    });
  }
  if (url.pathname === "/api/v1/reports") return json({}, 202);
  if (url.pathname === "/api/v1/meetings") {
    const base = "https://meet.example.org/j/123456789?pwd=mX7q2Lr9";
    const topic = (JSON.parse(String(init?.body)) as { topic?: string }).topic ?? "";
    return json({
      ...meeting,
      topic,
      passcode: "mX7q2Lr9",
      join_url: base,
      host_url: `${base}&host=k3JwQy8sT1`,
      created_at: "",
    });
  }
  return undefined;
}

function packageFor(name: string): Package {
  const controllers = [{ id: "tpe-1", url: location.origin }];
  return {
    meeting,
    participant: { id: "me", name, role: "host" },
    token: "token",
    token_expires_at: new Date(Date.now() + 7_200_000).toISOString(),
    zones: [{ id: "tpe", name: "Taipei", weight: 0, load: 0.2, distance_km: 12, controllers }],
    tunnels: [],
    web_client: location.href,
    seen: { address: "192.0.2.7" },
  };
}

/** The router: it knows who is here and fills the slots that are asked for. */
class Router {
  readonly others: Participant[];
  readonly #play: Play;
  #me: Participant;
  #send: (message: FromRouter) => void = () => {};
  #chat = 0;

  constructor(play: Play) {
    this.#play = play;
    this.others = Array.from({ length: play.people }, (_, i) => person(i + 1));
    if (play.sharing && this.others[1]) this.others[1].sharing = true;
    this.#me = { ...person(99), id: "me", name: "Me", role: "host", audio_muted: false, video_muted: false };
  }

  socket() {
    const router = this;
    return class extends EventTarget {
      static readonly OPEN = 1;
      readyState = 0;
      constructor() {
        super();
        router.#send = (message) => {
          const data = JSON.stringify(message);
          queueMicrotask(() => this.dispatchEvent(new MessageEvent("message", { data })));
        };
        setTimeout(() => {
          this.readyState = 1;
          this.dispatchEvent(new Event("open"));
        }, 20);
      }
      send(text: string) {
        router.#take(JSON.parse(text) as FromClient);
      }
      close() {
        this.readyState = 3;
      }
    };
  }

  #take(message: FromClient): void {
    if (message.type === "hello") this.#welcome();
    else if (message.type === "ping") this.#send({ type: "pong", n: message.n, now_ms: performance.now() });
    else if (message.type === "want") {
      const wanted = new Map(message.slots.map((w) => [w.slot, w.participant]));
      const slots: SlotState[] = Array.from({ length: 25 }, (_, i) => {
        const participant = wanted.get(`v${i + 1}`);
        return participant ? { slot: `v${i + 1}`, participant, source: "camera" } : { slot: `v${i + 1}` };
      });
      this.#send({ type: "slots", slots });
    } else if (message.type === "send_chat") this.#said("me", this.#me.name, message.text);
    else if (message.type === "set_state") {
      this.#me = { ...this.#me, audio_muted: message.audio_muted ?? false, video_muted: message.video_muted ?? false };
      if (message.hand_raised) this.#me = { ...this.#me, hand_raised_at: "2026-03-14T09:10:00Z" };
      else delete this.#me.hand_raised_at;
      this.#send({ type: "roster", changed: [this.#me] });
    } else if (message.type === "host" && message.action === "end")
      this.#send({ type: "farewell", reason: "ended", by: "me" });
  }

  #welcome(): void {
    const chat: Chat[] = [];
    const slots: SlotState[] = this.#play.sharing ? [{ slot: "c1", participant: "p2", source: "screen" }] : [];
    const participants = [...this.others, this.#me];
    const now_ms = performance.now();
    this.#send({ type: "welcome", meeting, participant: "me", participants, slots, chat, now_ms });
    if (this.others.length === 0) return;
    this.#send({ type: "speakers", speakers: [{ participant: this.others.length > 1 ? "p2" : "p1", level: 20 }] });
    this.#said("p1", names[0] ?? "", "Good morning! The drawings are at https://drawings.example.org/bridge/7.");
    this.#said("p2", names[1] ?? "", "早安，我稍後分享最新的橋墩測量結果。");
    this.#said("p2", names[1] ?? "", "第三號橋墩的數據已經更新。");
  }

  #said(from: string, name: string, text: string): void {
    this.#send({ type: "chat", id: `c${++this.#chat}`, from, name, text, at: new Date().toISOString() });
  }
}

/** A peer connection whose receivers have pictures of their own. */
function peerConnection(router: Router) {
  let slot = 0;
  return class extends EventTarget {
    connectionState: RTCPeerConnectionState = "new";
    localDescription: RTCSessionDescriptionInit | null = null;
    remoteDescription: RTCSessionDescriptionInit | null = null;
    readonly #kinds: string[] = [];

    addTransceiver(kind: "audio" | "video", init: RTCRtpTransceiverInit) {
      this.#kinds.push(kind);
      const receiving = init.direction === "recvonly";
      return {
        setCodecPreferences: () => {},
        sender: {
          track: null,
          replaceTrack: async () => {},
          getParameters: () => ({ encodings: [{ active: false }] }),
          setParameters: async () => {},
        },
        receiver: {
          track: receiving ? this.#track(kind) : null,
          getSynchronizationSources: () => [],
          getStats: async () => new Map(),
        },
      };
    }
    #track(kind: "audio" | "video"): MediaStreamTrack {
      if (kind === "audio")
        return new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0] as MediaStreamTrack;
      const content = this.#kinds[1] === "audio";
      const n = content ? 0 : ++slot;
      const shown = router.others.filter((p) => !p.video_muted)[n - 1];
      return content ? screenPicture() : personPicture(shown?.id ?? "p0", n);
    }
    setConfiguration() {}
    async createOffer() {
      return { type: "offer", sdp: "v=0\r\n" };
    }
    async setLocalDescription(d: RTCSessionDescriptionInit) {
      this.localDescription = d;
    }
    async setRemoteDescription(d: RTCSessionDescriptionInit) {
      this.remoteDescription = d;
      for (const state of ["connecting", "connected"] as const) {
        await new Promise((f) => setTimeout(f, 30));
        this.connectionState = state;
        this.dispatchEvent(new Event("connectionstatechange"));
      }
    }
    async getStats() {
      return new Map<string, object>([
        [
          "T",
          {
            id: "T",
            type: "transport",
            selectedCandidatePairId: "P",
            bytesReceived: performance.now() * 90,
            bytesSent: performance.now() * 40,
          },
        ],
        [
          "P",
          {
            id: "P",
            type: "candidate-pair",
            remoteCandidateId: "R",
            localCandidateId: "L",
            currentRoundTripTime: 0.0087,
          },
        ],
        ["R", { id: "R", type: "remote-candidate", address: "203.0.113.20", port: 8801, protocol: "udp" }],
        ["I", { id: "I", type: "inbound-rtp", packetsReceived: Math.round(performance.now() / 10), packetsLost: 1 }],
      ]);
    }
    close() {}
  };
}
