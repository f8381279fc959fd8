// A track of silence, sent while the microphone is off: with discontinuous
// transmission it is a packet every 400 ms, which the router acknowledges, so
// that a dead path is noticed however quiet the person is.

/** Owns an audio context once a track was asked for. End it with close. */
export class Silence {
  #context: AudioContext | null = null;
  #track: MediaStreamTrack | null = null;

  /** The track, always the same; null where the browser has none to give. */
  get track(): MediaStreamTrack | null {
    if (this.#context) return this.#track;
    try {
      this.#context = new AudioContext();
      const source = new ConstantSourceNode(this.#context, { offset: 0 });
      const out = this.#context.createMediaStreamDestination();
      source.connect(out);
      source.start();
      this.#track = out.stream.getAudioTracks()[0] ?? null;
    } catch {
      this.#track = null;
    }
    return this.#track;
  }

  close(): void {
    this.#track?.stop();
    void this.#context?.close().catch(() => {});
    this.#context = null;
    this.#track = null;
  }
}
