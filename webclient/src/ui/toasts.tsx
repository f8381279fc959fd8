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
}

const [toasts, setToasts] = createSignal<Toast[]>([]);
const [said, setSaid] = createSignal<{ id: number; text: string }[]>([]);
let last = 0;

const stays: Record<ToastKind, number> = { info: 5000, good: 4000, problem: 12_000 };

/** Shows and says something. */
export function toast(text: string, kind: ToastKind = "info", detail = ""): void {
  if (toasts().some((x) => x.text === text && x.detail === detail)) return; // it stands there already
  const id = ++last;
  setToasts((all) => [...all.slice(-2), { id, kind, text, detail }]);
  setTimeout(() => dismiss(id), stays[kind]);
  announce(detail ? `${text} ${detail}` : text);
}

/** Says something to screen readers only. */
export function announce(text: string): void {
  const id = ++last;
  setSaid((all) => [...all.slice(-4), { id, text }]);
  setTimeout(() => setSaid((all) => all.filter((s) => s.id !== id)), 8000);
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
                    <span>{x.detail}</span>
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
