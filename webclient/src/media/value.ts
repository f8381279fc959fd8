// Observable values: how media and state tell the layers above what changed,
// without knowing which framework draws it.

/** A value that can be read and watched. */
export interface Readable<T> {
  get(): T;
  /** Calls f with every later value, until the returned function is called. */
  subscribe(f: (value: T) => void): () => void;
}

/** A value that its owner can change. Equal values are not told again. */
export class Value<T> implements Readable<T> {
  #value: T;
  readonly #watchers = new Set<(value: T) => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const watcher of [...this.#watchers]) watcher(value);
  }

  update(f: (value: T) => T): void {
    this.set(f(this.#value));
  }

  subscribe(f: (value: T) => void): () => void {
    this.#watchers.add(f);
    return () => this.#watchers.delete(f);
  }
}

/** Happenings, told to whoever listens at that moment. */
export class Emitter<T> {
  readonly #listeners = new Set<(event: T) => void>();

  emit(event: T): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  subscribe(f: (event: T) => void): () => void {
    this.#listeners.add(f);
    return () => this.#listeners.delete(f);
  }
}

/** Runs f every ms milliseconds until signal aborts. */
export function every(ms: number, f: () => void, signal: AbortSignal): void {
  if (signal.aborted) return;
  const timer = setInterval(f, ms);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** Resolves after ms milliseconds; rejects with the signal's reason when it aborts first. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
