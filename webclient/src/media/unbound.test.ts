import { afterEach, describe, expect, it, vi } from "vitest";

class Bound {}
class Unbound {}

/** The module in a browser of a brand; added are the frames that it makes, with what they were allowed when they came. */
async function within(brands: string[] | null) {
  vi.resetModules();
  const added: { allow: string; hidden: boolean }[] = [];
  vi.stubGlobal("RTCPeerConnection", Bound);
  vi.stubGlobal("navigator", brands ? { userAgentData: { brands: brands.map((brand) => ({ brand })) } } : {});
  vi.stubGlobal("document", {
    createElement: () => ({ allow: "", hidden: false, contentWindow: null as unknown }),
    documentElement: {
      append(frame: { allow: string; hidden: boolean; contentWindow: unknown }) {
        added.push({ ...frame }); // what it may is settled here
        frame.contentWindow = { RTCPeerConnection: Unbound };
      },
    },
  });
  return { added, ...(await import("./unbound.ts")) };
}

afterEach(() => vi.unstubAllGlobals());

describe("unboundPeer", () => {
  it("makes connections of one hidden frame without camera and microphone in Chromium", async () => {
    const { added, unboundPeer } = await within(["Not;A=Brand", "Chromium"]);
    expect(unboundPeer({})).toBeInstanceOf(Unbound);
    expect(unboundPeer({})).toBeInstanceOf(Unbound);
    expect(added).toMatchObject([{ allow: "camera 'none'; microphone 'none'", hidden: true }]);
  });
  it("makes them as usual in other browsers", async () => {
    for (const brands of [null, ["Other"]]) {
      const { added, unboundPeer } = await within(brands);
      expect(unboundPeer({})).toBeInstanceOf(Bound);
      expect(added).toEqual([]);
    }
  });
});
