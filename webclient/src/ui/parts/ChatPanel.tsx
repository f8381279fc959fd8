import { createEffect, createSignal, For, onMount, Show } from "solid-js";
import { maxChat } from "../../protocol/messages.ts";
import type { Meeting } from "../../state/meeting.ts";
import { Send } from "../icons.tsx";
import { linkify } from "../linkify.ts";
import { language, t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { Panel } from "./Panel.tsx";

/** What was said, and a place to say something. */
export function ChatPanel(props: { meeting: Meeting; close: () => void }) {
  const room = watch(props.meeting.room);
  const [text, setText] = createSignal("");
  let log: HTMLOListElement | undefined;
  let field: HTMLTextAreaElement | undefined;

  onMount(() => field?.focus());
  createEffect(() => {
    room().chat.length;
    queueMicrotask(() => log?.scrollTo({ top: log.scrollHeight }));
  });
  const local = watch(props.meeting.publisher.local);
  const placeholder = () => (local().watching ? t().chatToPanel : t().chatPlaceholder);
  const tooLong = () => new TextEncoder().encode(text().trim()).length > maxChat;
  const send = () => {
    const said = text().trim();
    if (!said || tooLong()) return;
    props.meeting.say(said);
    setText("");
    field?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const time = (at: string) =>
    new Intl.DateTimeFormat(language(), { hour: "2-digit", minute: "2-digit" }).format(new Date(at));
  /** A name stands over the first of several messages in a row. */
  const begins = (i: number) => room().chat[i - 1]?.from !== room().chat[i]?.from;

  return (
    <Panel title={t().chatTitle} close={props.close} class="chat" focusTitle={false}>
      {/* A list that scrolls is reached by Tab, so that arrow keys can scroll it. */}
      <ol class="chat-log" ref={log} tabindex="0" aria-label={t().chatLog}>
        <For
          each={room().chat}
          fallback={<li class="chat-empty">{local().watching ? t().chatEmptyPanel : t().chatEmpty}</li>}
        >
          {(said, i) => (
            <li class="chat-line" classList={{ mine: said.from === room().me, begins: begins(i()) }}>
              <Show when={begins(i())}>
                <p class="chat-who">
                  <strong>{said.from === room().me ? t().you : said.name}</strong>
                  <time datetime={said.at}>{time(said.at)}</time>
                  <Show when={said.panel}>
                    <span class="badge">{t().toPanel}</span>
                  </Show>
                </p>
              </Show>
              <p class="chat-text">
                <For each={linkify(said.text)}>
                  {(part) =>
                    part.href ? (
                      <a href={part.href} target="_blank" rel="noopener noreferrer">
                        {part.text}
                      </a>
                    ) : (
                      part.text
                    )
                  }
                </For>
              </p>
            </li>
          )}
        </For>
      </ol>
      <form
        class="chat-form"
        onSubmit={(e) => {
          e.preventDefault();
          send();
        }}
      >
        <textarea
          ref={field}
          rows="2"
          aria-label={placeholder()}
          placeholder={placeholder()}
          value={text()}
          aria-invalid={tooLong()}
          onInput={(e) => setText(e.currentTarget.value)}
          onKeyDown={onKey}
        />
        <button type="submit" class="icon-button primary" aria-label={t().send} disabled={!text().trim() || tooLong()}>
          <Send />
        </button>
      </form>
      <Show when={tooLong()}>
        <p class="field-error" role="alert">
          {t().chatTooLong}
        </p>
      </Show>
    </Panel>
  );
}
