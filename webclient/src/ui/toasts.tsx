// Short messages in a corner, and the same (and more) for screen readers.
import { createSignal, For, Show } from "solid-js";
import { Check, Close, Warning } from "./icons.tsx";
import { t } from "./text/text.ts";

/** How a toast looks and how long it stays. */
export type ToastKind = "info" | "good" | "problem";

interface Toast {
  id: number;
  kind: ToastKind;
  text: string;
  detail: string;
  /** Of whom it tells, where it tells the same of several. */
  of: readonly string[];
}

const [toasts, setToasts] = createSignal<Toast[]>([]);
const [said, setSaid] = createSignal<{ id: number; text: string }[]>([]);
let last = 0;

const stays: Record<ToastKind, number> = { info: 5000, good: 4000, problem: 12_000 };

/** Shows and says something. */
export function toast(text: string, kind: ToastKind = "info", detail = ""): void {
  if (toasts().some((x) => x.text === text && x.detail === detail)) return; // it stands there already
  show({ id: ++last, kind, text, detail, of: [] });
  announce(detail ? `${text} ${detail}` : text);
}

/**
 * Shows and says the same of one person after another: while the first toast
 * stands, others join it, so that many who come at once do not cover the room.
 */
export function gather(name: string, words: (names: readonly string[]) => string): void {
  const earlier = toasts().find((x) => x.of.length > 0 && x.text === words(x.of));
  const of = [name, ...(earlier?.of ?? [])];
  setToasts((all) => all.filter((x) => x !== earlier));
  show({ id: ++last, kind: "info", text: words(of), detail: "", of });
  announce(words([name]));
}

function show(next: Toast): void {
  setToasts((all) => [...all.slice(-2), next]);
  setTimeout(() => dismiss(next.id), stays[next.kind]);
}

/** Says something to screen readers only. */
export function announce(text: string): void {
  const id = ++last;
  setSaid((all) => [...all.slice(-4), { id, text }]);
  setTimeout(() => setSaid((all) => all.filter((s) => s.id !== id)), 8000);
}

/** Takes all toasts away: where they were about is left. */
export function clearToasts(): void {
  setToasts([]);
}

function dismiss(id: number): void {
  setToasts((all) => all.filter((x) => x.id !== id));
}

/** The corner, and the live region. Once per page. */
export function Toasts() {
  return (
    <>
      <div class="visually-hidden" aria-live="polite" role="log" aria-label={t().notifications}>
        <For each={said()}>{(s) => <p>{s.text}</p>}</For>
      </div>
      <section aria-label={t().notifications}>
        <ul class="toasts">
          <For each={toasts()}>
            {(x) => (
              <li class={`toast toast-${x.kind}`}>
                <Show when={x.kind !== "info"}>{x.kind === "good" ? <Check /> : <Warning />}</Show>
                <div class="toast-text">
                  <strong>{x.text}</strong>
                  <Show when={x.detail}>
                    <span dir="auto">{x.detail}</span>
                  </Show>
                </div>
                <button type="button" class="bare" aria-label={t().dismiss} onClick={() => dismiss(x.id)}>
                  <Close />
                </button>
              </li>
            )}
          </For>
        </ul>
      </section>
    </>
  );
}
