import { beforeEach, describe, expect, it } from "vitest";
import { type DeviceEvent, Devices, problemOf } from "./devices.ts";
import { levelOf } from "./level.ts";

/** A track as far as Devices looks at it. */
class Track extends EventTarget {
  stopped = false;
  constructor(
    readonly kind: string,
    readonly id: string,
  ) {
    super();
  }
  get label() {
    return `label of ${this.id}`;
  }
  getSettings() {
    return { deviceId: this.id };
  }
  stop() {
    this.stopped = true;
  }
  unplug() {
    this.dispatchEvent(new Event("ended"));
  }
}

class Hardware extends EventTarget {
  plugged = ["audioinput m1", "audioinput m2", "videoinput c1", "audiooutput s1"];
  refuse = "";
  readonly given: Track[] = [];

  async getUserMedia(wanted: MediaStreamConstraints) {
    if (this.refuse) throw new DOMException("no", this.refuse);
    const tracks: Track[] = [];
    if (wanted.audio) tracks.push(this.#open("audioinput", wanted.audio));
    if (wanted.video) tracks.push(this.#open("videoinput", wanted.video));
    this.given.push(...tracks);
    return {
      getTracks: () => tracks,
      getAudioTracks: () => tracks.filter((t) => t.kind === "audioinput"),
      getVideoTracks: () => tracks.filter((t) => t.kind === "videoinput"),
    };
  }
  async enumerateDevices() {
    return this.plugged.map((p) => ({ kind: p.split(" ")[0], deviceId: p.split(" ")[1], label: p }));
  }
  #open(kind: string, wanted: MediaTrackConstraints | true): Track {
    const here = this.plugged.filter((p) => p.startsWith(kind)).map((p) => p.split(" ")[1] ?? "");
    const wish = typeof wanted === "object" ? String(wanted.deviceId ?? "") : "";
    const id = here.includes(wish) ? wish : here[0];
    if (!id) throw new DOMException("none", "NotFoundError");
    return new Track(kind, id);
  }
}

let hardware: Hardware;
let events: DeviceEvent[];
const make = (choice = {}) => {
  const devices = new Devices(choice, hardware as unknown as MediaDevices);
  devices.events.subscribe((e) => events.push(e));
  return devices;
};
const settled = () => new Promise((f) => setTimeout(f));

beforeEach(() => {
  hardware = new Hardware();
  events = [];
});

describe("Devices", () => {
  it("opens microphone and camera with one question", async () => {
    const devices = make();
    await devices.openBoth();
    expect(devices.current("microphone")).toBe("m1");
    expect(devices.current("camera")).toBe("c1");
    expect(devices.list.get().speaker).toEqual([{ id: "s1", label: "audiooutput s1" }]);
  });
  it("opens what there is when the other is missing", async () => {
    hardware.plugged = ["audioinput m1"];
    const devices = make();
    await devices.openBoth();
    expect(devices.microphone.get()).not.toBeNull();
    expect(devices.problems.get().camera).toBe("device_missing");
  });
  it("takes the remembered device, or another when it is not here", async () => {
    const devices = make({ microphone: "m2" });
    await devices.open("microphone");
    expect(devices.current("microphone")).toBe("m2");
    const elsewhere = make({ microphone: "gone" });
    await elsewhere.open("microphone");
    expect(elsewhere.current("microphone")).toBe("m1");
  });
  it("says when the person refused", async () => {
    hardware.refuse = "NotAllowedError";
    const devices = make();
    expect(await devices.open("camera")).toBe(false);
    expect(events).toEqual([{ what: "failed", kind: "camera", problem: "device_denied" }]);
  });
  it("falls back when the device in use is unplugged, and returns to it", async () => {
    const devices = make({ microphone: "m2" });
    await devices.open("microphone");
    hardware.plugged = hardware.plugged.filter((p) => !p.includes("m2"));
    hardware.given[0]?.unplug();
    hardware.dispatchEvent(new Event("devicechange"));
    await settled();
    expect(devices.current("microphone")).toBe("m1");
    hardware.plugged.push("audioinput m2");
    hardware.dispatchEvent(new Event("devicechange"));
    await settled();
    expect(devices.current("microphone")).toBe("m2");
    expect(events.map((e) => e.what)).toEqual(["switched", "switched"]);
    expect(hardware.given.filter((t) => !t.stopped)).toHaveLength(2); // the unplugged one ended by itself
  });
  it("says when the last one is gone", async () => {
    const devices = make();
    await devices.open("camera");
    hardware.plugged = [];
    hardware.given[0]?.unplug();
    await settled();
    expect(devices.camera.get()).toBeNull();
    expect(events).toContainEqual({ what: "lost", kind: "camera" });
  });
  it("lets only the latest request win", async () => {
    const devices = make();
    const first = devices.open("microphone");
    const second = devices.choose("microphone", "m2").then(() => devices.open("microphone"));
    await Promise.all([first, second]);
    expect(devices.current("microphone")).toBe("m2");
    expect(hardware.given.filter((t) => !t.stopped)).toHaveLength(1);
  });
  it("stops everything at the end", async () => {
    const devices = make();
    await devices.openBoth();
    devices.close();
    expect(hardware.given.every((t) => t.stopped)).toBe(true);
  });
});

describe("problemOf", () => {
  it.each([
    ["NotAllowedError", "device_denied"],
    ["NotFoundError", "device_missing"],
    ["NotReadableError", "device_missing"],
  ])("%s means %s", (name, want) => expect(problemOf(new DOMException("x", name))).toBe(want));
});

describe("levelOf", () => {
  it("is 0 for silence and 1 for full scale", () => {
    expect(levelOf(new Float32Array(64))).toBe(0);
    expect(levelOf(new Float32Array(64).fill(1))).toBe(1);
    expect(levelOf(new Float32Array(0))).toBe(0);
  });
  it("grows with loudness", () => {
    const at = (x: number) => levelOf(new Float32Array(64).fill(x));
    expect(at(0.1)).toBeGreaterThan(at(0.01));
  });
});
