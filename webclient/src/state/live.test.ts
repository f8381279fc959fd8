import { describe, expect, it } from "vitest";
import { rates, sum } from "./live.ts";

const entries = [
  { id: "T", type: "transport", selectedCandidatePairId: "P", bytesReceived: 1000, bytesSent: 500 },
  { id: "P", type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R", currentRoundTripTime: 0.012 },
  { id: "L", type: "local-candidate" },
  { id: "R", type: "remote-candidate", address: "192.0.2.9", port: 8801, protocol: "udp" },
  { id: "1", type: "inbound-rtp", packetsReceived: 10, packetsLost: 2 },
  { id: "2", type: "inbound-rtp", packetsReceived: 5, packetsLost: -1 },
  { id: "3", type: "outbound-rtp", packetsSent: 7, retransmittedPacketsSent: 2 },
  { id: "4", type: "remote-inbound-rtp", packetsLost: 1 },
];

describe("sum", () => {
  it("adds up a connection", () => {
    expect(sum(entries, "connected")).toEqual({
      state: "connected",
      transport: "udp",
      remote: "192.0.2.9:8801",
      sent: 7,
      missed: 3,
      received: 15,
      acknowledged: true,
      lost: 2,
      bytesIn: 1000,
      bytesOut: 500,
      rttMS: 12,
    });
  });
  it.each([
    [{ protocol: "tcp", address: "192.0.2.9" }, {}, "tcp", "192.0.2.9:8801"],
    [{ protocol: "udp", address: "2001:db8::1" }, {}, "udp", "[2001:db8::1]:8801"],
    [{ protocol: "udp", address: "192.0.2.9" }, { relayProtocol: "tls" }, "tls", "192.0.2.9:8801"],
  ])("names the path %#", (remote, local, transport, address) => {
    const changed = entries.map((e) => (e.id === "R" ? { ...e, ...remote } : e.id === "L" ? { ...e, ...local } : e));
    expect(sum(changed, "connected")).toMatchObject({ transport, remote: address });
  });
  it("is empty before anything is connected", () => expect(sum([], "new")).toMatchObject({ remote: "", received: 0 }));
});

describe("rates", () => {
  const first = sum(entries, "connected");
  it("has none at first", () => expect(rates(undefined, first, 2000)).toMatchObject({ kbpsIn: 0, loss: 0 }));
  it("are per second", () => {
    const later = { ...first, bytesIn: first.bytesIn + 250_000, received: first.received + 90, lost: first.lost + 10 };
    const live = rates(first, later, 2000);
    expect(live.kbpsIn).toBe(1000);
    expect(live.loss).toBeCloseTo(0.1);
  });
  it("never go below nothing when counters begin anew", () => {
    expect(rates({ ...first, bytesIn: 9e9, received: 9e9 }, first, 2000)).toMatchObject({ kbpsIn: 0, loss: 0 });
  });
});
