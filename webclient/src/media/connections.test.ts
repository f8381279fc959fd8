import { describe, expect, it } from "vitest";
import { layers, videoCodecs } from "./connections.ts";

const offered = [
  { mimeType: "video/rtx" },
  { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f" },
  { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f" },
  { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" },
  { mimeType: "video/VP9", sdpFmtpLine: "profile-id=0" },
  { mimeType: "video/AV1" },
  { mimeType: "video/red" },
  { mimeType: "video/VP8" },
];

describe("videoCodecs", () => {
  it("offers VP8, then constrained-baseline H.264, and retransmission", () => {
    expect(videoCodecs(offered).map((c) => c.mimeType)).toEqual(["video/VP8", "video/H264", "video/rtx"]);
    expect(videoCodecs(offered)[1]?.sdpFmtpLine).toContain("packetization-mode=1;profile-level-id=42e01f");
  });
  it("takes what there is", () => {
    expect(videoCodecs([{ mimeType: "video/VP8" }])).toHaveLength(1);
    expect(videoCodecs([])).toEqual([]);
  });
});

describe("layers", () => {
  it("are three, smallest first, each half of the next", () => {
    expect(layers.map((l) => l.rid)).toEqual(["q", "h", "f"]);
    expect(layers.map((l) => l.scaleResolutionDownBy)).toEqual([4, 2, 1]);
  });
});
