// The bridge from the values of media and state to Solid's signals.
import { type Accessor, createSignal, onCleanup } from "solid-js";
import type { Emitter, Readable } from "../media/value.ts";

/** Reads a value as a signal, for as long as the component lives. */
export function watch<T>(value: Readable<T>): Accessor<T> {
  const [signal, set] = createSignal<T>(value.get());
  onCleanup(value.subscribe((v) => set(() => v)));
  return signal;
}

/** Listens to an emitter for as long as the component lives. */
export function listen<T>(emitter: Emitter<T>, f: (event: T) => void): void {
  onCleanup(emitter.subscribe(f));
}

/** Follows a media query for as long as the component lives. */
export function matches(query: string): Accessor<boolean> {
  const media = matchMedia(query);
  const [signal, set] = createSignal(media.matches);
  const look = () => set(media.matches);
  media.addEventListener("change", look);
  onCleanup(() => media.removeEventListener("change", look));
  return signal;
}
