import { createEffect, createSignal, For, on, onCleanup, onMount, Show } from "solid-js";
import { maxChat } from "../../protocol/messages.ts";
import type { Meeting } from "../../state/meeting.ts";
import { Down, Send } from "../icons.tsx";
import { linkify } from "../linkify.ts";
import { language, t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { begins } from "./chatlines.ts";
import { Panel } from "./Panel.tsx";

interface Props {
  meeting: Meeting;
  /** What is being written; it outlives the panel. */
  draft: string;
  write: (draft: string) => void;
  close: () => void;
}

/** What was said, and a place to say something. */
export function ChatPanel(props: Props) {
  const room = watch(props.meeting.room);
  const unsent = watch(props.meeting.unsent);
  const local = watch(props.meeting.publisher.local);
  const [log, setLog] = createSignal<HTMLOListElement>();
  const { follow, newer, down, keep } = following(log, () => room().chat.length, unsent);
  let field: HTMLTextAreaElement | undefined;

  onMount(() => field?.focus());
  const placeholder = () => (local().watching ? t().chatToPanel : t().chatPlaceholder);
  const tooLong = () => new TextEncoder().encode(props.draft.trim()).length > maxChat;
  const send = () => {
    const said = props.draft.trim();
    if (!said || tooLong()) return;
    props.meeting.say(said);
    props.write("");
    down();
    field?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  const time = (at: string) =>
    new Intl.DateTimeFormat(language(), { hour: "2-digit", minute: "2-digit" }).format(new Date(at));

  return (
    <Panel title={t().chatTitle} close={props.close} class="chat" focusTitle={false}>
      <div class="chat-said">
        {/* A list that scrolls is reached by Tab, so that arrow keys can scroll it. */}
        <ol class="chat-log" ref={setLog} tabindex="0" aria-label={t().chatLog} onScroll={follow} onAnimationEnd={keep}>
          <For
            each={room().chat}
            fallback={
              <Show when={unsent().length === 0}>
                <li class="chat-empty">{local().watching ? t().chatEmptyPanel : t().chatEmpty}</li>
              </Show>
            }
          >
            {(said, i) => (
              <li
                class="chat-line"
                classList={{ mine: said.from === room().me, begins: begins(room().chat[i() - 1], said) }}
              >
                <Show when={begins(room().chat[i() - 1], said)}>
                  <p class="chat-who">
                    <strong dir="auto">{said.from === room().me ? t().you : said.name}</strong>
                    <time datetime={said.at}>{time(said.at)}</time>
                    <Show when={said.panel}>
                      <span class="badge">{t().toPanel}</span>
                    </Show>
                  </p>
                </Show>
                <Said text={said.text} />
              </li>
            )}
          </For>
          <For each={unsent()}>
            {({ text }) => (
              <li class="chat-line mine waiting">
                <Said text={text} />
                <p class="chat-waiting">{t().chatWaiting}</p>
              </li>
            )}
          </For>
        </ol>
        <Show when={newer()}>
          <button type="button" class="button small chat-newer" onClick={down}>
            <Down />
            {t().chatNewer}
          </button>
        </Show>
      </div>
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
          dir="auto"
          aria-label={placeholder()}
          placeholder={placeholder()}
          value={props.draft}
          aria-invalid={tooLong()}
          onInput={(e) => props.write(e.currentTarget.value)}
          onKeyDown={onKey}
        />
        <button
          type="submit"
          class="icon-button primary"
          aria-label={t().send}
          disabled={!props.draft.trim() || tooLong()}
        >
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

/** The words of a message, with its addresses as links. */
function Said(props: { text: string }) {
  return (
    <p class="chat-text" dir="auto">
      <For each={linkify(props.text)}>
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
  );
}

/** Keeps the newest message in view, unless the person has scrolled up to read: then they are told of newer ones. */
function following(log: () => HTMLElement | undefined, count: () => number, unsent: () => unknown) {
  const [newer, setNewer] = createSignal(false);
  let atEnd = true;
  const down = () => {
    atEnd = true;
    setNewer(false);
    const list = log();
    list?.scrollTo({ top: list.scrollHeight });
  };
  const follow = () => {
    const list = log();
    if (!list) return;
    atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    if (atEnd) setNewer(false);
  };
  const keep = () => atEnd && down();
  createEffect(on([count, unsent], () => queueMicrotask(() => (atEnd ? down() : setNewer(true)))));
  onMount(() => {
    const resized = new ResizeObserver(keep); // the field below grows with what is written
    const list = log();
    if (list) resized.observe(list);
    onCleanup(() => resized.disconnect());
  });
  return { follow, newer, down, keep };
}
