import { createEffect, createSignal, onCleanup, Show } from "solid-js";
import type { Box } from "../../state/layout.ts";
import type { Meeting } from "../../state/meeting.ts";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { place } from "./place.ts";

/** The screen that somebody shares, whole and never cropped. */
export function ScreenTile(props: { meeting: Meeting; by: string; box: Box | null; stream: MediaStream | undefined }) {
  const room = watch(props.meeting.room);
  const [seen, setSeen] = createSignal(false);
  const [video, setVideo] = createSignal<HTMLVideoElement>();
  const name = () => room().participants.get(props.by)?.name ?? "";
  createEffect(() => {
    const element = video();
    if (!element) return;
    setSeen(false);
    element.srcObject = props.stream ?? null;
    const wait = element.requestVideoFrameCallback(() => setSeen(true));
    element.play().catch(() => {});
    onCleanup(() => element.cancelVideoFrameCallback(wait));
  });
  return (
    <figure class="screen" style={place(props.box)}>
      <video ref={setVideo} autoplay muted playsinline tabindex="-1" classList={{ showing: seen() }} />
      <Show when={!seen()}>
        <p class="screen-wait">
          <span class="spinner" />
          {t().waitingForPicture}
        </p>
      </Show>
      <figcaption class="tile-name">{t().screenOf(name())}</figcaption>
    </figure>
  );
}
