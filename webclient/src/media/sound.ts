// Plays the sound of the audio slots and of shared screens on the chosen speaker.
import { Value } from "./value.ts";

type Player = HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> };

/** Owns one audio element per slot. End it with close. */
export class Sound {
  /** The browser wants a click before it plays anything. */
  readonly blocked = new Value(false);
  readonly #players = new Map<string, Player>();
  #speaker = "";

  /** Plays a slot's track from now on. */
  play(slot: string, track: MediaStreamTrack): void {
    const player: Player = this.#players.get(slot) ?? document.createElement("audio");
    this.#players.set(slot, player);
    player.autoplay = true;
    player.srcObject = new MediaStream([track]);
    this.#route(player);
    this.#start(player);
  }

  /** Uses another speaker; "" is the system's default. */
  use(speaker: string): void {
    this.#speaker = speaker;
    for (const player of this.#players.values()) this.#route(player);
  }

  /** Tries again after a click. */
  unblock(): void {
    this.blocked.set(false);
    for (const player of this.#players.values()) this.#start(player);
  }

  close(): void {
    for (const player of this.#players.values()) player.srcObject = null;
    this.#players.clear();
  }

  #route(player: Player): void {
    // A speaker that was unplugged: the default one is better than silence.
    void player.setSinkId?.(this.#speaker).catch(() => player.setSinkId?.("").catch(() => {}));
  }

  #start(player: Player): void {
    player.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === "NotAllowedError") this.blocked.set(true);
    });
  }
}
