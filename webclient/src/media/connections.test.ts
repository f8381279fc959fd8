import { afterEach, describe, expect, it, vi } from "vitest";
import { audioCodecs, type CameraCodec, Connections, type Encoding, layers, videoCodecs } from "./connections.ts";

const offered = [
  { mimeType: "video/rtx" },
  { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f" },
  { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f" },
  { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" },
  { mimeType: "video/VP9", sdpFmtpLine: "profile-id=0" },
  { mimeType: "video/AV1", sdpFmtpLine: "level-idx=5;profile=1;tier=0" },
  { mimeType: "video/AV1", sdpFmtpLine: "level-idx=5;profile=0;tier=0" },
  { mimeType: "video/red" },
  { mimeType: "video/VP8" },
];

describe("videoCodecs", () => {
  it("offers VP8, then constrained-baseline H.264, and retransmission", () => {
    expect(videoCodecs(offered).map((c) => c.mimeType)).toEqual(["video/VP8", "video/H264", "video/rtx"]);
    expect(videoCodecs(offered)[1]?.sdpFmtpLine).toContain("packetization-mode=1;profile-level-id=42e01f");
  });
  it("offers scalable ones after them where they are to be received, and alone where one is to be sent", () => {
    const names = (scalable: "all" | "vp9" | "av1") => videoCodecs(offered, scalable).map((c) => c.mimeType);
    expect(names("all")).toEqual(["video/VP8", "video/H264", "video/VP9", "video/AV1", "video/rtx"]);
    expect(names("vp9")).toEqual(["video/VP9", "video/rtx"]);
    expect(names("av1")).toEqual(["video/AV1", "video/rtx"]);
    expect(videoCodecs(offered, "av1")[0]?.sdpFmtpLine).toContain("profile=0");
  });
  it("takes what there is", () => {
    expect(videoCodecs([{ mimeType: "video/VP8" }])).toHaveLength(1);
    expect(videoCodecs([])).toEqual([]);
  });
});

describe("audioCodecs", () => {
  it("offers Opus, and behind it redundancy", () => {
    const all = [{ mimeType: "audio/red" }, { mimeType: "audio/G722" }, { mimeType: "audio/opus" }];
    expect(audioCodecs(all).map((c) => c.mimeType)).toEqual(["audio/opus", "audio/red"]);
    expect(audioCodecs([{ mimeType: "audio/opus" }])).toHaveLength(1);
  });
});

describe("layers", () => {
  it("are three, smallest first, each half of the next", () => {
    expect(layers.map((l) => l.rid)).toEqual(["q", "h", "f"]);
    expect(layers.map((l) => l.scaleResolutionDownBy)).toEqual([4, 2, 1]);
  });
});

describe("Connections", () => {
  /** A sender that takes one change at a time, as browsers do. */
  const sender = () => {
    const made = {
      track: null as unknown,
      encodings: ["q", "h", "f"].map((rid): Encoding => ({ rid, active: true })),
      changing: false,
      replaceTrack: async (track: unknown) => {
        made.track = track;
      },
      getParameters: () => ({ encodings: made.encodings.map((e) => ({ ...e })) }),
      setParameters: async ({ encodings }: { encodings: Encoding[] }) => {
        if (made.changing) throw new DOMException("a change is under way", "InvalidStateError");
        made.changing = true;
        await Promise.resolve();
        made.changing = false;
        made.encodings = encodings;
      },
    };
    return made;
  };
  const world = (codec: CameraCodec | null = null) => {
    const senders: ReturnType<typeof sender>[] = [];
    class Peer extends EventTarget {
      addTransceiver() {
        const made = sender();
        senders.push(made);
        return { sender: made, receiver: {}, setCodecPreferences: () => {} };
      }
    }
    vi.stubGlobal("RTCPeerConnection", Peer);
    vi.stubGlobal("MediaStream", class {});
    vi.stubGlobal("RTCRtpReceiver", { getCapabilities: () => null });
    vi.stubGlobal("RTCRtpSender", { getCapabilities: () => ({ codecs: offered }) });
    const connections = new Connections(1, codec);
    const camera = connections.sender("camera") as unknown as ReturnType<typeof sender>;
    return { connections, flows: () => camera.encodings.map((e) => e.active) };
  };
  afterEach(() => vi.unstubAllGlobals());

  it("send the layers that the router asks for, while there is a camera", async () => {
    const { connections, flows } = world();
    const track = {} as MediaStreamTrack;
    await connections.publish("camera", track);
    expect(flows()).toEqual([true, true, true]);
    await connections.request("camera", [true, true, false]);
    expect(flows()).toEqual([true, true, false]);
    await connections.publish("camera", null);
    expect(flows()).toEqual([false, false, false]);
    expect(connections.sending("camera")).toBe(false);
    await connections.publish("camera", track);
    expect(flows()).toEqual([true, true, false]);
    expect(connections.sending("camera")).toBe(true);
    await connections.request("camera", [false, false, false]);
    expect(connections.sending("camera")).toBe(false);
  });
  it("send the camera in a scalable codec, too, but only when the router asks for it", async () => {
    const { connections } = world("av1");
    const scalable = connections.sender("camera_scalable") as unknown as ReturnType<typeof sender>;
    const flows = () => scalable.encodings.some((e) => e.active);
    const track = {} as MediaStreamTrack;
    await connections.publish("camera", track);
    expect(scalable.track).toBe(track);
    expect([flows(), connections.sending("camera_scalable")]).toEqual([false, false]);
    await connections.request("camera_scalable", [true, true, true]);
    expect([flows(), connections.sending("camera_scalable")]).toEqual([true, true]);
    await connections.publish("camera", null);
    expect(flows()).toBe(false);
  });
  it("encode no more of a scalable codec's sizes than the largest that the router asks for", async () => {
    const { connections } = world("vp9");
    const scalable = connections.sender("camera_scalable") as unknown as ReturnType<typeof sender>;
    scalable.encodings = [{ rid: "", active: false, scalabilityMode: "L3T3_KEY" }];
    const asked = async (...active: boolean[]) => {
      await connections.request("camera_scalable", active);
      const [e] = scalable.encodings;
      return [e?.active, e?.scalabilityMode, e?.scaleResolutionDownBy];
    };
    await connections.publish("camera", {} as MediaStreamTrack);
    expect(await asked(true, true, true)).toEqual([true, "L3T3_KEY", 1]);
    expect(await asked(true, false, false)).toEqual([true, "L1T3", 4]);
    expect(await asked(true, true, false)).toEqual([true, "L2T3_KEY", 2]);
    expect(await asked(false, false, false)).toEqual([false, "L2T3_KEY", 2]);
    expect(await asked(true, true, true)).toEqual([true, "L3T3_KEY", 1]);
    scalable.encodings = [{ rid: "", active: true }]; // a browser without such modes
    expect(await asked(true, false, false)).toEqual([true, undefined, undefined]);
  });
  it("do without temporal layers where the browser refuses them", () => {
    const asked: (string | undefined)[] = [];
    class Peer extends EventTarget {
      addTransceiver(_: string, init: { sendEncodings?: Encoding[] }) {
        const mode = init.sendEncodings?.[0]?.scalabilityMode;
        if (mode) throw new DOMException("no such mode", "OperationError");
        if (init.sendEncodings?.length === 3) asked.push(...init.sendEncodings.map((e) => e.rid));
        return { sender: sender(), receiver: {}, setCodecPreferences: () => {} };
      }
    }
    vi.stubGlobal("RTCPeerConnection", Peer);
    vi.stubGlobal("MediaStream", class {});
    vi.stubGlobal("RTCRtpReceiver", { getCapabilities: () => null });
    new Connections(1);
    expect(asked).toEqual(["q", "h", "f"]);
  });
  it("send with redundancy by the router's own answer, one negotiation after the other", async () => {
    const answer = (types: string) =>
      `v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF ${types}\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\n`;
    const put: string[] = [];
    class Peer extends EventTarget {
      signalingState = "stable";
      currentRemoteDescription = { sdp: answer("111 63") };
      addTransceiver() {
        return { sender: sender(), receiver: {}, setCodecPreferences: () => {} };
      }
      async createOffer(options: RTCOfferOptions) {
        return { sdp: options.iceRestart ? "restart" : "offer" };
      }
      async setLocalDescription({ sdp }: { sdp: string }) {
        expect(this.signalingState).toBe("stable");
        this.signalingState = "have-local-offer";
        put.push(sdp);
      }
      async setRemoteDescription({ sdp }: { sdp: string }) {
        this.signalingState = "stable";
        this.currentRemoteDescription = { sdp };
      }
    }
    vi.stubGlobal("RTCPeerConnection", Peer);
    vi.stubGlobal("MediaStream", class {});
    vi.stubGlobal("RTCRtpReceiver", { getCapabilities: () => null });
    const connections = new Connections(1);
    const now = () => connections.peers.audio.currentRemoteDescription?.sdp;
    const [changed] = await Promise.all([connections.repeat(true), connections.restart()]);
    expect([changed, now()]).toEqual([true, answer("63 111")]);
    expect(put).toEqual(["offer", "restart", "restart", "restart"]);
    expect(await connections.repeat(true)).toBe(false);
    expect([await connections.repeat(false), now()]).toEqual([true, answer("111 63")]);
  });
  it("make one change after the other", async () => {
    const { connections, flows } = world();
    await connections.publish("camera", {} as MediaStreamTrack);
    const changes = [
      [false, false, false],
      [true, false, false],
      [true, false, true],
    ];
    await Promise.all(changes.map((active) => connections.request("camera", active)));
    expect(flows()).toEqual([true, false, true]);
  });
});
