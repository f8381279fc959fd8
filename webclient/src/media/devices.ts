// The person's camera, microphone and speaker: which there are, which is
// chosen, and what to do when one is plugged in or pulled out.
import { Emitter, Value } from "./value.ts";

/** What kind of device. */
export type DeviceKind = "microphone" | "camera" | "speaker";

/** One device on offer. */
export interface Device {
  id: string;
  label: string;
}

/** Every device there is. */
export type DeviceList = Record<DeviceKind, Device[]>;

/** The ids that the person chose; absent means the system's default. */
export type DeviceChoice = Partial<Record<DeviceKind, string>>;

/** Why a device could not be opened. */
export type DeviceProblem = "device_denied" | "device_missing" | "insecure_page";

/** Something that happened to a device in use. */
export type DeviceEvent =
  | { what: "switched"; kind: DeviceKind; label: string }
  | { what: "lost"; kind: DeviceKind }
  | { what: "failed"; kind: DeviceKind; problem: DeviceProblem };

type Capture = "microphone" | "camera";

const constraints: Record<Capture, MediaTrackConstraints> = {
  microphone: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  camera: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
};

/** Says why getUserMedia failed. */
export function problemOf(error: unknown): DeviceProblem {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  return name === "NotAllowedError" || name === "SecurityError" ? "device_denied" : "device_missing";
}

/** Owns the capture tracks of the page. End it with close. */
export class Devices {
  readonly list = new Value<DeviceList>({ microphone: [], camera: [], speaker: [] });
  readonly microphone = new Value<MediaStreamTrack | null>(null);
  readonly camera = new Value<MediaStreamTrack | null>(null);
  readonly choice: Value<DeviceChoice>;
  readonly problems = new Value<Partial<Record<Capture, DeviceProblem>>>({});
  readonly events = new Emitter<DeviceEvent>();

  readonly #api: MediaDevices | undefined;
  readonly #life = new AbortController();
  /** Counts the requests per kind: only the latest one may set the track. */
  readonly #turn: Record<Capture, number> = { microphone: 0, camera: 0 };

  constructor(choice: DeviceChoice, api: MediaDevices | undefined = globalThis.navigator?.mediaDevices) {
    this.#api = api;
    this.choice = new Value(choice);
    api?.addEventListener("devicechange", () => void this.#changed(), { signal: this.#life.signal });
  }

  /** The id of the device in use, as far as the browser tells. */
  current(kind: DeviceKind): string {
    if (kind === "speaker") return this.choice.get().speaker ?? "";
    return this[kind].get()?.getSettings().deviceId ?? this.choice.get()[kind] ?? "";
  }

  /** Opens microphone and camera in one question to the person, where possible. */
  async openBoth(): Promise<void> {
    if (this.microphone.get() || this.camera.get()) return;
    const turns = { microphone: ++this.#turn.microphone, camera: ++this.#turn.camera };
    try {
      if (!this.#api) throw new Error("no media devices");
      const { microphone, camera } = this.choice.get();
      const stream = await this.#api.getUserMedia({
        audio: { ...constraints.microphone, ...(microphone ? { deviceId: microphone } : {}) },
        video: { ...constraints.camera, ...(camera ? { deviceId: camera } : {}) },
      });
      this.#take("microphone", stream.getAudioTracks()[0] ?? null, turns.microphone);
      this.#take("camera", stream.getVideoTracks()[0] ?? null, turns.camera);
      await this.refresh();
    } catch {
      // One of the two is missing or refused: find out which, one by one.
      await this.open("microphone");
      await this.open("camera");
    }
  }

  /** Opens one device; the choice is a wish, another one is better than none. */
  async open(kind: Capture): Promise<boolean> {
    const turn = ++this.#turn[kind];
    if (!this.#api) {
      this.#fail(kind, globalThis.isSecureContext === false ? "insecure_page" : "device_missing");
      return false;
    }
    const wish = this.choice.get()[kind];
    try {
      const want = { ...constraints[kind], ...(wish ? { deviceId: wish } : {}) };
      const stream = await this.#api.getUserMedia(kind === "microphone" ? { audio: want } : { video: want });
      this.#take(kind, stream.getTracks()[0] ?? null, turn);
      await this.refresh();
      return true;
    } catch (error) {
      if (turn === this.#turn[kind]) this.#fail(kind, problemOf(error));
      return false;
    }
  }

  /** Stops a device, and turns its light off. */
  stop(kind: Capture): void {
    this.#turn[kind]++;
    this[kind].get()?.stop();
    this[kind].set(null);
  }

  /** Chooses a device. A device that is open is exchanged for it. */
  async choose(kind: DeviceKind, id: string): Promise<void> {
    this.choice.update((c) => ({ ...c, [kind]: id }));
    if (kind !== "speaker" && this[kind].get()) await this.open(kind);
  }

  /** Reads the list of devices anew. */
  async refresh(): Promise<void> {
    const all = (await this.#api?.enumerateDevices().catch(() => [])) ?? [];
    const pick = (kind: MediaDeviceKind): Device[] =>
      all.filter((d) => d.kind === kind && d.deviceId !== "").map((d) => ({ id: d.deviceId, label: d.label }));
    this.list.set({ microphone: pick("audioinput"), camera: pick("videoinput"), speaker: pick("audiooutput") });
  }

  /** Stops everything. */
  close(): void {
    this.#life.abort();
    this.stop("microphone");
    this.stop("camera");
  }

  #take(kind: Capture, track: MediaStreamTrack | null, turn: number): void {
    if (turn !== this.#turn[kind]) {
      track?.stop(); // another request overtook this one
      return;
    }
    const old = this[kind].get();
    this.problems.update((p) => ({ ...p, [kind]: undefined }));
    track?.addEventListener("ended", () => void this.#ended(kind, track), { signal: this.#life.signal });
    this[kind].set(track);
    old?.stop();
  }

  #fail(kind: Capture, problem: DeviceProblem): void {
    this.problems.update((p) => ({ ...p, [kind]: problem }));
    this.events.emit({ what: "failed", kind, problem });
  }

  /** A device in use went away: take the next best one. */
  async #ended(kind: Capture, track: MediaStreamTrack): Promise<void> {
    if (this[kind].get() !== track) return; // it was stopped on purpose
    this[kind].set(null);
    const opened = await this.open(kind);
    const now = this[kind].get();
    if (opened && now) this.events.emit({ what: "switched", kind, label: now.label });
    else this.events.emit({ what: "lost", kind });
  }

  /** Something was plugged in or out: go back to what was chosen when it is here again. */
  async #changed(): Promise<void> {
    const before = this.list.get();
    await this.refresh();
    const after = this.list.get();
    const has = (list: DeviceList, kind: DeviceKind, id: string) => list[kind].some((d) => d.id === id);
    for (const kind of ["microphone", "camera"] as const) {
      const wish = this.choice.get()[kind];
      const track = this[kind].get();
      const returned = wish !== undefined && has(after, kind, wish) && !has(before, kind, wish);
      if (!track || !returned || this.current(kind) === wish) continue;
      if (await this.open(kind)) this.events.emit({ what: "switched", kind, label: this[kind].get()?.label ?? "" });
    }
    const speaker = this.choice.get().speaker;
    if (speaker && has(before, "speaker", speaker) !== has(after, "speaker", speaker)) {
      this.choice.update((c) => ({ ...c })); // the players look again and take the default meanwhile
      const label = after.speaker.find((d) => d.id === speaker)?.label ?? after.speaker[0]?.label ?? "";
      this.events.emit({ what: "switched", kind: "speaker", label });
    }
  }
}
