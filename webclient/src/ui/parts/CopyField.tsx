import { createSignal, Show } from "solid-js";
import { Check, Copy } from "../icons.tsx";
import { t } from "../text/text.ts";
import { announce } from "../toasts.tsx";

/** Copies a text; where the browser refuses, the field's text is selected for the person to copy. */
async function copy(text: string, field?: HTMLInputElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field?.select();
    return false;
  }
}

/** A text to take along, with a button that copies it. */
export function CopyField(props: { label: string; value: string }) {
  const [copied, setCopied] = createSignal(false);
  let field: HTMLInputElement | undefined;
  const click = async () => {
    if (!(await copy(props.value, field))) return;
    setCopied(true);
    announce(t().copied);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <div class="copy-field">
      <label>
        <span class="label">{props.label}</span>
        <input ref={field} readonly value={props.value} onFocus={(e) => e.currentTarget.select()} />
      </label>
      <button type="button" class="button" aria-label={t().copyOf(props.label)} onClick={click}>
        <Show when={copied()} fallback={<Copy />}>
          <Check />
        </Show>
        <span aria-hidden="true">{copied() ? t().copied : t().copy}</span>
      </button>
    </div>
  );
}

/** A button that copies something. */
export function CopyButton(props: { text: () => string; label: string; class?: string }) {
  const [copied, setCopied] = createSignal(false);
  const click = async () => {
    if (!(await copy(props.text()))) return;
    setCopied(true);
    announce(t().copied);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <button type="button" class={props.class ?? "button"} onClick={click}>
      <Show when={copied()} fallback={<Copy />}>
        <Check />
      </Show>
      {copied() ? t().copied : props.label}
    </button>
  );
}
