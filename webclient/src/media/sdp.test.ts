import { describe, expect, it } from "vitest";
import { credentials, onlyOver, tuneAudio, withRedundancy } from "./sdp.ts";

const section = (fmtp: string) =>
  ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=sendonly", "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", fmtp]
    .filter(Boolean)
    .join("\r\n")
    .concat("\r\n");
const head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

describe("credentials", () => {
  it("are those of the description, as far as there are any", () => {
    const ice = "a=ice-ufrag:F7gI\r\na=ice-pwd:x9cml/YzichV2+XlhiMu8g\r\na=ice-options:trickle\r\n";
    expect(credentials(head + section("") + ice)).toEqual({ ufrag: "F7gI", pwd: "x9cml/YzichV2+XlhiMu8g" });
    expect(credentials("a=ice-ufrag:F7gI\r\n")).toBeUndefined();
  });
});

describe("tuneAudio", () => {
  it("asks for retransmission and discontinuous transmission", () => {
    const out = tuneAudio(head + section("a=fmtp:111 minptime=10;useinbandfec=1"));
    expect(out).toContain("a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n");
    expect(out).toContain("a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n");
  });
  it("does nothing twice", () => {
    const once = tuneAudio(head + section("a=fmtp:111 useinbandfec=1"));
    expect(tuneAudio(once)).toBe(once);
  });
  it("keeps a usedtx that is there", () => {
    expect(tuneAudio(section("a=fmtp:111 usedtx=0"))).toContain("a=fmtp:111 usedtx=0\r\n");
  });
  it("adds the parameters where there are none", () => {
    expect(tuneAudio(section(""))).toContain("a=fmtp:111 usedtx=1\r\n");
  });
  it("tunes every audio section, and only those", () => {
    const video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
    const out = tuneAudio(head + section("") + video + section(""));
    expect(out.match(/a=rtcp-fb:111 nack\r/g)).toHaveLength(2);
    expect(out).toContain(video);
  });
  it("keeps every line end as it is on the wire", () => {
    const out = tuneAudio(head + section("a=fmtp:111 useinbandfec=1"));
    expect(out.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
  });
});

describe("withRedundancy", () => {
  const line = (types: string, direction: string, red = true) =>
    `m=audio 9 UDP/TLS/RTP/SAVPF ${types}\r\na=${direction}\r\na=rtpmap:111 opus/48000/2\r\n${red ? "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n" : ""}`;
  const answer = (types: string) => head + line(types, "recvonly") + line("111 63", "sendonly");
  it("puts it first where the router receives, and last again", () => {
    expect(withRedundancy(answer("111 63"), true)).toBe(answer("63 111"));
    expect(withRedundancy(answer("63 111"), false)).toBe(answer("111 63"));
  });
  it("does nothing twice", () => {
    expect(withRedundancy(answer("63 111"), true)).toBe(answer("63 111"));
    expect(withRedundancy(answer("111 63"), false)).toBe(answer("111 63"));
  });
  it("leaves a line without it as it is", () => {
    const sdp = head + line("111", "recvonly", false);
    expect(withRedundancy(sdp, true)).toBe(sdp);
  });
});

describe("onlyOver", () => {
  const udp = "a=candidate:1 1 udp 2130706431 192.0.2.1 8801 typ host\r\n";
  const tcp = "a=candidate:2 1 TCP 1671430143 192.0.2.1 8801 typ host tcptype passive\r\n";
  const sdp = `${head}m=audio 9 X 111\r\n${udp}${tcp}a=end-of-candidates\r\nm=video 9 X 96\r\na=mid:1\r\n`;
  it("leaves the candidates of one protocol, and everything else", () => {
    expect(onlyOver(sdp, "udp")).toBe(sdp.replace(tcp, ""));
    expect(onlyOver(sdp, "tcp")).toBe(sdp.replace(udp, ""));
  });
});
