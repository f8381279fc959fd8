// Everybody's pictures, and the shared screen, placed by state/layout.ts.
import { createEffect, createMemo, createSignal, For, on, onCleanup, onMount, Show } from "solid-js";
import type { Devices } from "../../media/devices.ts";
import type { Participant } from "../../protocol/messages.ts";
import { arrange, type Box } from "../../state/layout.ts";
import type { Meeting } from "../../state/meeting.ts";
import { isAttendee } from "../../state/room.ts";
import type { VisibleTile } from "../../state/wants.ts";
import { Left, Right } from "../icons.tsx";
import type { ViewName } from "../pages/Room.tsx";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { CopyButton } from "./CopyField.tsx";
import { place } from "./place.ts";
import { ScreenTile } from "./ScreenTile.tsx";
import { PersonTile } from "./Tile.tsx";

interface Props {
  meeting: Meeting;
  devices: Devices;
  view: ViewName;
  invite: string;
}

export function Stage(props: Props) {
  const { meeting } = props;
  const room = watch(meeting.room);
  const pictures = watch(meeting.pictures);
  const focus = watch(meeting.focus);
  const local = watch(meeting.publisher.local);
  const [size, setSize] = createSignal({ width: 0, height: 0 });
  const [page, setPage] = createSignal(0);
  const [pinned, setPinned] = createSignal("");
  const [cursor, setCursor] = createSignal(0);
  let stage: HTMLDivElement | undefined;

  onMount(() => {
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: Math.floor(entry.contentRect.width), height: Math.floor(entry.contentRect.height) });
    });
    if (stage) observer.observe(stage);
    onCleanup(() => observer.disconnect());
  });

  // Oneself last, the others as they came: nobody jumps around when somebody speaks.
  const ids = createMemo(() => order(room().participants, room().me), [], { equals: sameList });
  const screen = createMemo(() => pictures().screen?.by ?? "");

  /** Who is large, when it is a person. */
  const large = createMemo(() => {
    if (screen()) return "";
    const present = room().participants;
    if (pinned() && present.has(pinned())) return pinned();
    if (props.view !== "speaker") return "";
    return present.has(focus()) && focus() ? focus() : (ids().find((id) => id !== room().me) ?? room().me);
  });
  /** The tiles that are not large. Beside a screen who speaks comes first, so as to be on the first page. */
  const small = createMemo(
    () => {
      const others = ids().filter((id) => id !== large());
      const first = screen() && others.includes(focus()) ? focus() : "";
      return first ? [first, ...others.filter((id) => id !== first)] : others;
    },
    [],
    { equals: sameList },
  );
  const places = createMemo(() => {
    const { width, height } = size();
    const isLarge = screen() !== "" || large() !== "";
    return arrange({
      width,
      height,
      gap: 10,
      count: small().length,
      large: isLarge,
      slots: meeting.videoSlots,
      page: page(),
    });
  });
  const boxOf = (id: string): Box | null => {
    if (id === large()) return places().large;
    const i = small().indexOf(id);
    return i < 0 ? null : (places().boxes[i - places().first] ?? null);
  };
  // Tiles glide where somebody else becomes large. Where people come and go they are at their places at once: to draw the
  // page anew sixty times a second takes the time, where no graphics processor does it, in which the first picture is decoded.
  const [gliding, setGliding] = createSignal(false);
  createEffect(on(large, () => setGliding(true), { defer: true }));
  createEffect(on([ids, size], () => setGliding(false), { defer: true }));

  /** Tiles on this page, in order: those that the arrow keys walk. */
  const onPage = createMemo(() => ids().filter((id) => boxOf(id) !== null), [], { equals: sameList });

  createEffect(() => {
    const scale = globalThis.devicePixelRatio || 1;
    const tiles: VisibleTile[] = [];
    if (size().width === 0) return;
    for (const id of onPage()) {
      const box = boxOf(id);
      if (box && id !== room().me) tiles.push({ participant: id, height: box.height * scale });
    }
    tiles.sort((a, b) => b.height - a.height); // what is large first, should slots be short
    meeting.look(tiles);
  });

  const walk = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(onPage().length - 1, cursor() + step));
    setCursor(next);
    stage?.querySelector<HTMLElement>(`[data-tile="${CSS.escape(onPage()[next] ?? "")}"] .tile-pin`)?.focus();
  };

  return (
    <section class="stage-area" aria-label={t().stage}>
      <div class="stage" classList={{ gliding: gliding() }} ref={stage}>
        <Show when={screen()}>
          {(by) => <ScreenTile meeting={meeting} by={by()} box={places().large} stream={pictures().screen?.stream} />}
        </Show>
        <ul class="tiles" aria-label={t().people} onKeyDown={walk}>
          <For each={onPage()}>
            {(id, i) => (
              <PersonTile
                id={id}
                room={room()}
                box={boxOf(id)}
                large={id === large()}
                pinned={id === pinned()}
                stream={pictures().cameras.get(id)}
                meeting={meeting}
                devices={props.devices}
                tabbable={i() === Math.min(cursor(), onPage().length - 1)}
                pin={() => setPinned(pinned() === id ? "" : id)}
                focused={() => setCursor(i())}
              />
            )}
          </For>
        </ul>
      </div>
      <Show when={ids().every((id) => id === room().me) && !screen()}>
        <div class="alone">
          <Show when={!local().watching} fallback={<strong>{t().nobodyOnStage}</strong>}>
            <strong>{room().meeting.kind === "webinar" ? t().aloneOnStage : t().alone}</strong>
            <span>{t().aloneText}</span>
            <CopyButton text={() => props.invite} label={t().copyJoinLink} class="button small primary" />
          </Show>
        </div>
      </Show>
      <Show when={places().pager}>
        {(box) => (
          <nav class="pager" style={place(box())} aria-label={t().pageOf(places().page + 1, places().pages)}>
            <button
              type="button"
              aria-label={t().previousPage}
              disabled={places().page === 0}
              onClick={() => setPage(places().page - 1)}
            >
              <Left />
            </button>
            <span aria-live="polite">
              <span class="visually-hidden">{t().pageOf(places().page + 1, places().pages)}</span>
              <span aria-hidden="true">
                {places().page + 1} / {places().pages}
              </span>
            </span>
            <button
              type="button"
              aria-label={t().nextPage}
              disabled={places().page >= places().pages - 1}
              onClick={() => setPage(places().page + 1)}
            >
              <Right />
            </button>
          </nav>
        )}
      </Show>
    </section>
  );
}

function order(participants: ReadonlyMap<string, Participant>, me: string): string[] {
  const key = (p: Participant) => `${p.id === me ? 1 : 0} ${p.joined_at} ${p.id}`;
  const onStage = [...participants.values()].filter((p) => !isAttendee(p));
  return onStage.sort((a, b) => (key(a) < key(b) ? -1 : 1)).map((p) => p.id);
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
