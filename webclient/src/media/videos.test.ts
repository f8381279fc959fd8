import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dropVideo, prepareVideo, shows, takeVideo } from "./videos.ts";

describe("the elements of streams", () => {
  const made: { srcObject: unknown; plays: number; readyState: number }[] = [];
  beforeEach(() => {
    made.length = 0;
    vi.stubGlobal("HTMLMediaElement", { HAVE_CURRENT_DATA: 2 });
    vi.stubGlobal("document", {
      createElement: () => {
        const video = { srcObject: null, plays: 0, readyState: 0, play: async () => video.plays++ };
        made.push(video);
        return video;
      },
    });
  });
  afterEach(() => vi.unstubAllGlobals());
  const stream = () => ({}) as MediaStream;

  it("are made when they are needed", () => {
    const s = stream();
    const video = takeVideo(s);
    expect(video).toMatchObject({ srcObject: s, plays: 1, autoplay: true, muted: true, playsInline: true });
    expect(shows(video)).toBe(false);
  });
  it("or ahead, once, and already show what has come by then", () => {
    const s = stream();
    prepareVideo(s);
    prepareVideo(s);
    expect(made).toMatchObject([{ srcObject: s, plays: 1 }]);
    Object.assign(made[0] ?? {}, { readyState: 2 });
    const video = takeVideo(s);
    expect(shows(video)).toBe(true);
    expect(takeVideo(s)).not.toBe(video); // whoever has one keeps it
    expect(made).toHaveLength(2);
  });
  it("and let go of a stream that was not wanted after all", () => {
    const [a, b] = [stream(), stream()];
    prepareVideo(a);
    prepareVideo(b);
    takeVideo(b);
    dropVideo(a);
    dropVideo(b);
    expect(made.map((v) => v.srcObject)).toEqual([null, b]);
  });
});
