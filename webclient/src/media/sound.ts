// Plays the sound of the audio slots and of shared screens on the chosen
// speaker. While two sessions stand side by side, one of them is heard.
import { Value } from "./value.ts";

type Player = HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> };

/** The players of one session, silent until they are the ones to be heard. End it with close. */
export class Voices {
  readonly players: readonly Player[];

  constructor(tracks: Iterable<MediaStreamTrack>) {
    this.players = [...tracks].map((track) => {
      const player: Player = document.createElement("audio");
      player.autoplay = true;
      player.muted = true;
      player.srcObject = new MediaStream([track]);
      return player;
    });
  }

  mute(muted: boolean): void {
    for (const player of this.players) player.muted = muted;
  }

  close(): void {
    for (const player of this.players) player.srcObject = null;
  }
}

/** Decides who is heard, and where. End it with close. */
export class Sound {
  /** The browser wants a click before it plays anything. */
  readonly blocked = new Value(false);
  #heard: Voices | null = null;
  #speaker = "";

  /** Lets these be heard from now on, and nobody else. */
  hear(voices: Voices): void {
    if (voices === this.#heard) return;
    this.#heard?.mute(true);
    this.#heard = voices;
    voices.mute(false);
    for (const player of voices.players) this.#route(player);
    this.#start(voices);
  }

  /** Uses another speaker; "" is the system's default. */
  use(speaker: string): void {
    this.#speaker = speaker;
    for (const player of this.#heard?.players ?? []) this.#route(player);
  }

  /** Tries again after a click. */
  unblock(): void {
    this.blocked.set(false);
    if (this.#heard) this.#start(this.#heard);
  }

  close(): void {
    this.#heard?.close();
    this.#heard = null;
  }

  #route(player: Player): void {
    // A speaker that was unplugged: the default one is better than silence.
    void player.setSinkId?.(this.#speaker).catch(() => player.setSinkId?.("").catch(() => {}));
  }

  #start(voices: Voices): void {
    for (const player of voices.players)
      player.play().catch((error: unknown) => {
        if (error instanceof DOMException && error.name === "NotAllowedError") this.blocked.set(true);
      });
  }
}
