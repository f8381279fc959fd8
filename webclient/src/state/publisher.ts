// What this participant publishes: microphone, camera and screen, whether they
// are on, and the tracks on the connections of the moment: two sets of them
// while one session takes the place of another.
import type { Connections } from "../media/connections.ts";
import type { DeviceKind, Devices } from "../media/devices.ts";
import { Silence } from "../media/silence.ts";
import { Emitter, Value } from "../media/value.ts";

/** What is on. */
export interface Local {
  microphoneOn: boolean;
  cameraOn: boolean;
  sharing: boolean;
  handRaised: boolean;
  /** An attendee of a webinar publishes nothing until a host brings them up. */
  watching: boolean;
}

/** Keeps the tracks on the connections in step with what is on. Ends with its signal. */
export class Publisher {
  readonly local: Value<Local>;
  /** The shared screen, for oneself to see. */
  readonly screen = new Value<MediaStream | null>(null);
  /** A refused or failed screen share. */
  readonly failed = new Emitter<"screen">();

  readonly #devices: Devices;
  readonly #silence = new Silence();
  /** The connections, and whether the router knows whether we are muted: before, it takes any sound for speech. */
  readonly #connections = new Map<Connections, { told: boolean }>();

  constructor(devices: Devices, on: { microphone: boolean; camera: boolean; watching?: boolean }, signal: AbortSignal) {
    this.#devices = devices;
    this.local = new Value<Local>({
      microphoneOn: on.microphone,
      cameraOn: on.camera,
      sharing: false,
      handRaised: false,
      watching: on.watching ?? false,
    });
    const stop = [
      devices.microphone.subscribe(() => this.#sync()),
      devices.camera.subscribe(() => this.#sync()),
      this.local.subscribe(() => this.#sync()),
      this.screen.subscribe(() => this.#sync()),
      devices.events.subscribe((e) => e.what !== "switched" && this.#without(e.kind)),
    ];
    signal.addEventListener("abort", () => {
      for (const f of stop) f();
      this.unshare();
      this.#connections.clear();
      this.#silence.close();
    });
  }

  /** Publishes on these connections from now on; told is for when the router knows what is on. */
  attach(connections: Connections, told = false): void {
    this.#connections.set(connections, { told });
    this.#sync();
  }

  /** Publishes on these connections no more. */
  detach(connections: Connections): void {
    this.#connections.delete(connections);
  }

  /** Turns the microphone on or off. On opens it if need be; false if there is none to open. */
  async setMicrophone(on: boolean): Promise<boolean> {
    if (on && !this.#devices.microphone.get() && !(await this.#devices.open("microphone"))) return false;
    this.local.update((l) => ({ ...l, microphoneOn: on }));
    return true;
  }

  /** Turns the camera on or off; off also turns its light off. */
  async setCamera(on: boolean): Promise<boolean> {
    if (on && !this.#devices.camera.get() && !(await this.#devices.open("camera"))) return false;
    this.local.update((l) => ({ ...l, cameraOn: on }));
    if (!on) this.#devices.stop("camera");
    return true;
  }

  setHand(raised: boolean): void {
    this.local.update((l) => ({ ...l, handRaised: raised }));
  }

  /** Whether one only watches now. Sent back, devices are off: brought up again, nothing is on unawares. */
  setWatching(watching: boolean, sentBack: boolean): void {
    if (this.local.get().watching === watching) return;
    if (sentBack) {
      this.unshare();
      this.#devices.stop("microphone");
      this.#devices.stop("camera");
    }
    const off = sentBack ? { microphoneOn: false, cameraOn: false } : {};
    this.local.update((l) => ({ ...l, ...off, watching }));
  }

  /** Asks for a screen, with its sound where the system gives it, and shares it. */
  async share(): Promise<void> {
    if (this.screen.get()) return;
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } }, audio: true });
    } catch (error) {
      // Closing the browser's question is no failure.
      if (!(error instanceof DOMException && error.name === "NotAllowedError")) this.failed.emit("screen");
      return;
    }
    const [video] = stream.getVideoTracks();
    if (video) {
      video.contentHint = "detail";
      video.addEventListener("ended", () => this.unshare());
    }
    this.screen.set(stream);
    this.local.update((l) => ({ ...l, sharing: true }));
  }

  /** Stops sharing. */
  unshare(): void {
    for (const track of this.screen.get()?.getTracks() ?? []) track.stop();
    this.screen.set(null);
    this.local.update((l) => (l.sharing ? { ...l, sharing: false } : l));
  }

  /** A device failed or was lost: others are told that there is nothing to hear or see. */
  #without(kind: DeviceKind): void {
    if (kind === "microphone") this.local.update((l) => (l.microphoneOn ? { ...l, microphoneOn: false } : l));
    if (kind === "camera") this.local.update((l) => (l.cameraOn ? { ...l, cameraOn: false } : l));
  }

  #sync(): void {
    const { watching, ...on } = this.local.get();
    const [microphoneOn, cameraOn] = [on.microphoneOn && !watching, on.cameraOn && !watching];
    const screen = watching ? null : this.screen.get();
    const mic = microphoneOn ? this.#devices.microphone.get() : null;
    for (const [connections, { told }] of this.#connections) {
      void connections.publish("mic", mic ?? (told ? this.#silence.track : null));
      void connections.publish("camera", cameraOn ? this.#devices.camera.get() : null);
      void connections.publish("screen", screen?.getVideoTracks()[0] ?? null);
      void connections.publish("screen_audio", screen?.getAudioTracks()[0] ?? null);
    }
  }
}
