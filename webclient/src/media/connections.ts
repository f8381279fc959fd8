// The three media connections of a participant (phase 4): audio, video and
// content, each an RTCPeerConnection of its own. What is sent and how much can
// be received is fixed by the first offer; afterwards tracks are exchanged and
// encodings switched, so nothing is ever negotiated again.
import type { Credentials, JoinAnswer, MediaKind, Offers, SlotID, Transport } from "../protocol/messages.ts";
import { audioSlots } from "../protocol/messages.ts";
import { credentials, onlyOver, tuneAudio, withRedundancy } from "./sdp.ts";
import { unboundPeer } from "./unbound.ts";
import { Value } from "./value.ts";
import { dropVideo, prepareVideo } from "./videos.ts";

/** The kinds in order of priority. */
export const mediaKinds: readonly MediaKind[] = ["audio", "video", "content"];

/** What a participant publishes. */
export type SendSource = "mic" | "camera" | "camera_scalable" | "screen" | "screen_audio";

/**
 * The camera's simulcast layers, smallest first. The network priority (DSCP) is one per sender, told with the first. None
 * has a frame rate of its own: Chromium would slow the camera down for all of them. Temporal layers let the router leave out
 * every other picture for who has no room for all of them.
 */
export const layers: Encoding[] = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000, networkPriority: "high", scalabilityMode: "L1T3" },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 400_000, scalabilityMode: "L1T3" },
  { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000, scalabilityMode: "L1T3" },
];

/** A codec for the camera beside those that everybody decodes. */
export type CameraCodec = "vp9" | "av1";

/**
 * The camera in a scalable codec: one stream with the same sizes inside, each above the last predicted from it in key
 * pictures alone; here by the largest that anybody takes, since the browser encodes all that the mode has. To change it takes
 * a key picture, but no negotiation. It is sent instead of the other while the router asks for it: as long as all in the meeting
 * decode it.
 */
export const modes: Encoding[] = [
  { scalabilityMode: "L1T3", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { scalabilityMode: "L2T3_KEY", scaleResolutionDownBy: 2, maxBitrate: 650_000 },
  { scalabilityMode: "L3T3_KEY", scaleResolutionDownBy: 1, maxBitrate: 2_000_000 },
];
export const scalable: Encoding[] = [{ ...modes[2], active: false, networkPriority: "high" }];

/** What is known of an encoding; scalabilityMode is of webrtc-svc. */
export type Encoding = RTCRtpEncodingParameters & { scalabilityMode?: string };

/** What all connections have in common. */
const configuration: RTCConfiguration = { bundlePolicy: "max-bundle", rtcpMuxPolicy: "require" };

const kindOf: Record<SendSource, MediaKind> = {
  mic: "audio",
  camera: "video",
  camera_scalable: "video",
  screen: "content",
  screen_audio: "content",
};

/** Which scalable codecs are offered on a line: none, all behind the others as to receive, or one alone to send. */
type Scalable = "none" | "all" | CameraCodec;

/**
 * Picks and orders the codecs to offer: VP8, then constrained-baseline H.264 (RFC 6184), and retransmission; scalable
 * ones, in their main profile, where they are to be received, or one alone in what the camera sends.
 */
export function videoCodecs<C extends { mimeType: string; sdpFmtpLine?: string | undefined }>(
  all: readonly C[],
  scalable: Scalable = "none",
): C[] {
  const rank = (c: C): number => {
    const name = c.mimeType.toLowerCase().replace("video/", "");
    const fmtp = c.sdpFmtpLine ?? "";
    const others = scalable === "none" || scalable === "all";
    if (name === "vp8") return others ? 1 : -1;
    if (others && name === "h264" && /packetization-mode=1/.test(fmtp) && /profile-level-id=42e01f/i.test(fmtp))
      return 2;
    if (name === "rtx") return 5;
    if ((name !== "vp9" && name !== "av1") || /profile(-id)?=[^0]/.test(fmtp)) return -1;
    if (scalable === "all") return name === "vp9" ? 3 : 4;
    return name === scalable ? 0 : -1;
  };
  return all.filter((c) => rank(c) >= 0).sort((a, b) => rank(a) - rank(b));
}

/** Picks and orders the codecs to offer: Opus, and behind it Opus with redundancy (RFC 2198). */
export function audioCodecs<C extends { mimeType: string }>(all: readonly C[]): C[] {
  return ["audio/opus", "audio/red"].flatMap((name) => all.filter((c) => c.mimeType.toLowerCase() === name));
}

/** Owns the three connections. End it with close. */
export class Connections {
  readonly states = new Value<Record<MediaKind, RTCPeerConnectionState>>({
    audio: "new",
    video: "new",
    content: "new",
  });
  /** The receiver of every slot, known from the start. */
  readonly receivers = new Map<SlotID, RTCRtpReceiver>();
  /** What comes in every slot. */
  readonly streams = new Map<SlotID, MediaStream>();
  readonly peers: Record<MediaKind, RTCPeerConnection>;
  /** Of our side of the connections whose ICE was restarted, which the router is to be told. */
  readonly restarted = new Value<readonly Credentials[]>([]);

  readonly #senders = new Map<SendSource, RTCRtpSender>();
  /** Which layers the router asks for, in the order of the offer; all of a source that is not named. */
  readonly #requested = new Map<SendSource, readonly boolean[]>();
  /** The last change of what flows; browsers take one at a time. */
  readonly #changing = new Map<SendSource, Promise<void>>();
  /** The last negotiation of each connection with itself. */
  readonly #negotiating = new Map<MediaKind, Promise<void>>();
  #offers: Offers | null = null;
  #closed = false;

  constructor(videoSlots: number, camera: CameraCodec | null = null) {
    this.peers = { audio: this.#peer("audio"), video: this.#peer("video"), content: this.#peer("content") };
    this.#send("mic", [{ networkPriority: "high", maxBitrate: 40_000 }]);
    for (let i = 1; i <= audioSlots; i++) this.#receive("audio", "audio", `a${i}`);
    this.#send("camera", layers);
    if (camera && canSend(camera)) this.#send("camera_scalable", scalable, camera);
    for (let i = 1; i <= videoSlots; i++) this.#receive("video", "video", `v${i}`);
    this.#send("screen", [{ networkPriority: "medium", maxBitrate: 2_500_000 }]);
    this.#send("screen_audio", [{ networkPriority: "medium", maxBitrate: 96_000 }]);
    this.#receive("content", "video", "c1");
    this.#receive("content", "audio", "s1");
  }

  /**
   * Makes the offers. The router is ICE-lite at known addresses, so no
   * candidates of ours are awaited; they are not even gathered yet, because
   * the relays are told only by the answer, and a relay that comes later would
   * need an ICE restart.
   */
  async offers(): Promise<Offers> {
    if (this.#offers) return this.#offers;
    const one = async (kind: MediaKind) => tuneAudio((await this.peers[kind].createOffer()).sdp ?? "");
    this.#offers = { audio: await one("audio"), video: await one("video"), content: await one("content") };
    return this.#offers;
  }

  /**
   * Takes the router's answers, audio first, and the relays by which TLS leads
   * to it. A rung that is named for a kind is the only one that it may take.
   */
  async accept(
    answers: Offers,
    relays: JoinAnswer["turn"] = [],
    rungs: Partial<Record<MediaKind, Transport>> = {},
  ): Promise<void> {
    const offers = await this.offers();
    const servers = (relays ?? []).map(({ urls, username, credential }) => ({ urls, username, credential }));
    for (const kind of mediaKinds) {
      const [offer, answer, rung] = [offers[kind], answers[kind], rungs[kind]];
      if (!offer || !answer || this.#closed) continue;
      const peer = this.peers[kind];
      const iceServers = rung === "udp" || rung === "tcp" ? [] : servers;
      peer.setConfiguration({
        ...configuration,
        iceServers,
        ...(rung === "tls" ? { iceTransportPolicy: "relay" } : {}),
      });
      await peer.setLocalDescription({ type: "offer", sdp: offer });
      const sdp = rung === "udp" || rung === "tcp" ? onlyOver(answer, rung) : answer;
      if (!this.#closed) await peer.setRemoteDescription({ type: "answer", sdp: tuneAudio(sdp) });
    }
  }

  /**
   * Restarts ICE on our side alone, so that new addresses of ours are gathered
   * and checked; media goes on by the old ones until a new one answers. The
   * router is ICE-lite and takes any check that knows its password, so that its
   * answer still holds. It needs ours for checks of its own only.
   */
  async restart(): Promise<void> {
    for (const kind of mediaKinds) {
      await this.#renegotiate(kind, { iceRestart: true });
      const ours = credentials(this.peers[kind].currentLocalDescription?.sdp ?? "");
      if (!ours || this.#closed) continue;
      this.restarted.update((before) => [...before.filter((c) => c.kind !== kind), { kind, ...ours }]);
    }
  }

  /** Sends the microphone's sound with redundancy, or without; false if that is the same here. */
  async repeat(on: boolean): Promise<boolean> {
    const answer = this.peers.audio.currentRemoteDescription?.sdp ?? "";
    if (withRedundancy(answer, on) === answer) return false;
    await this.#renegotiate("audio", {}, (sdp) => withRedundancy(sdp, on));
    return true;
  }

  /** Puts the router's answer again, changed perhaps, to a new offer of ours; nothing is told to the router. */
  #renegotiate(kind: MediaKind, options: RTCOfferOptions, change = (answer: string) => answer): Promise<void> {
    const before = this.#negotiating.get(kind) ?? Promise.resolve();
    const negotiating = before
      .catch(() => {}) // told to whoever began it
      .then(async () => {
        const peer = this.peers[kind];
        const answer = peer.currentRemoteDescription?.sdp;
        if (this.#closed || !answer || peer.signalingState !== "stable") return;
        const offer = await peer.createOffer(options);
        await peer.setLocalDescription({ type: "offer", sdp: tuneAudio(offer.sdp ?? "") });
        if (!this.#closed) await peer.setRemoteDescription({ type: "answer", sdp: change(answer) });
      });
    this.#negotiating.set(kind, negotiating);
    return negotiating;
  }

  /** Makes ready for the first picture to come in a slot. */
  expect(slot: SlotID): void {
    const stream = this.streams.get(slot);
    if (stream) prepareVideo(stream);
  }

  /** Sends a track, or nothing, as one source. */
  async publish(source: SendSource, track: MediaStreamTrack | null): Promise<void> {
    if (this.#closed) return;
    const forms: SendSource[] = source === "camera" ? ["camera", "camera_scalable"] : [source];
    for (const form of forms) {
      const sender = this.#senders.get(form);
      if (sender && sender.track !== track) await sender.replaceTrack(track);
      await this.#flow(form);
    }
  }

  /** Sends, and encodes, only the layers of a source that the router asks for. */
  async request(source: SendSource, active: readonly boolean[]): Promise<void> {
    this.#requested.set(source, active);
    await this.#flow(source);
  }

  /** Whether a source's packets flow. */
  sending(source: SendSource): boolean {
    return Boolean(this.#senders.get(source)?.track) && (this.#requested.get(source)?.some(Boolean) ?? unsaid(source));
  }

  /** Lets those layers of a source flow that are to, once the change before is done. */
  #flow(source: SendSource): Promise<void> {
    const change = (this.#changing.get(source) ?? Promise.resolve()).then(() => this.#activate(source));
    this.#changing.set(source, change);
    return change;
  }

  async #activate(source: SendSource): Promise<void> {
    const sender = this.#senders.get(source);
    if (!sender || this.#closed) return;
    const parameters = sender.getParameters();
    const requested = this.#requested.get(source) ?? [];
    let changed = false;
    for (const [i, encoding] of parameters.encodings.entries() as Iterable<[number, Encoding]>) {
      const active = sender.track !== null && (requested[i] ?? unsaid(source));
      const mode = source === "camera_scalable" && encoding.scalabilityMode ? modeFor(requested) : undefined;
      changed ||= encoding.active !== active || (mode ?? encoding).scalabilityMode !== encoding.scalabilityMode;
      Object.assign(encoding, mode, { active });
    }
    if (!changed) return;
    await sender.setParameters(parameters).catch(() => {}); // closed meanwhile
  }

  /** The sender of a source, for its statistics. */
  sender(source: SendSource): RTCRtpSender | undefined {
    return this.#senders.get(source);
  }

  close(): void {
    this.#closed = true;
    for (const kind of mediaKinds) this.peers[kind].close();
    for (const stream of this.streams.values()) dropVideo(stream);
  }

  #peer(kind: MediaKind): RTCPeerConnection {
    const peer = unboundPeer(configuration);
    peer.addEventListener("connectionstatechange", () => {
      if (!this.#closed) this.states.update((s) => ({ ...s, [kind]: peer.connectionState }));
    });
    return peer;
  }

  #send(source: SendSource, sendEncodings: Encoding[], codec: Scalable = "none"): void {
    const media = source === "mic" || source === "screen_audio" ? "audio" : "video";
    const add = (encodings: Encoding[]) =>
      this.peers[kindOf[source]].addTransceiver(media, { direction: "sendonly", sendEncodings: encodings });
    let transceiver: RTCRtpTransceiver;
    try {
      transceiver = add(sendEncodings.map((e) => ({ ...e })));
    } catch {
      // A browser that has no such scalability with any of its codecs refuses it.
      transceiver = add(sendEncodings.map(({ scalabilityMode: _, ...e }) => e));
    }
    prefer(transceiver, media, codec);
    this.#senders.set(source, transceiver.sender);
  }

  #receive(kind: MediaKind, media: "audio" | "video", slot: SlotID): void {
    const transceiver = this.peers[kind].addTransceiver(media, { direction: "recvonly" });
    prefer(transceiver, media, "all");
    this.receivers.set(slot, transceiver.receiver);
    this.streams.set(slot, new MediaStream([transceiver.receiver.track]));
  }
}

/** The mode with no more sizes than are asked for; undefined leaves it as it is. */
const modeFor = (requested: readonly boolean[]) =>
  requested.length === modes.length ? modes[requested.lastIndexOf(true)] : undefined;

/** Whether a source is sent of which the router has said nothing. */
const unsaid = (source: SendSource) => source !== "camera_scalable";

/** Whether the browser can send a codec. */
function canSend(codec: CameraCodec): boolean {
  const all = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  return all.some((c) => c.mimeType.toLowerCase() === `video/${codec}`);
}

/** Offers only what the router forwards, which also keeps 26 m-lines small. */
function prefer(transceiver: RTCRtpTransceiver, media: "audio" | "video", scalable: Scalable = "none"): void {
  const all = RTCRtpReceiver.getCapabilities(media)?.codecs ?? [];
  const codecs = media === "audio" ? audioCodecs(all) : videoCodecs(all, scalable);
  if (codecs.length > 0) transceiver.setCodecPreferences(codecs);
  if (scalable === "all" || scalable === "av1") describeLayers(transceiver);
}

/** By this header extension the router knows AV1's layers; browsers offer it only when they are asked to. */
const descriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/** A transceiver whose header extensions can be chosen (webrtc-extensions); lib.dom does not know of it. */
interface Extensible {
  getHeaderExtensionsToNegotiate?(): { uri: string; direction: string }[];
  setHeaderExtensionsToNegotiate?(extensions: { uri: string; direction: string }[]): void;
}

/** Offers the dependency descriptor. Without it, in browsers that cannot, the router leaves AV1 out. */
function describeLayers(transceiver: RTCRtpTransceiver & Extensible): void {
  const all = transceiver.getHeaderExtensionsToNegotiate?.() ?? [];
  if (!all.some((e) => e.uri === descriptor)) return;
  transceiver.setHeaderExtensionsToNegotiate?.(
    all.map((e) => (e.uri === descriptor ? { ...e, direction: "sendrecv" } : e)),
  );
}
