import { createSignal, Show } from "solid-js";
import type { Box } from "../../state/layout.ts";
import type { Meeting } from "../../state/meeting.ts";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { within } from "./names.ts";
import { Picture } from "./Picture.tsx";
import { place } from "./place.ts";

/** The screen that somebody shares, whole and never cropped. */
export function ScreenTile(props: { meeting: Meeting; by: string; box: Box | null; stream: MediaStream | undefined }) {
  const room = watch(props.meeting.room);
  const [seen, setSeen] = createSignal(false);
  const name = () => room().participants.get(props.by)?.name ?? "";
  return (
    <figure class="screen" style={place(props.box)}>
      <Picture stream={props.stream} same={props.meeting.replaces} seen={setSeen} />
      <Show when={!seen()}>
        <p class="screen-wait">
          <span class="spinner" />
          {t().waitingForPicture}
        </p>
      </Show>
      <figcaption class="tile-name">
        <span>{t().screenOf(within(name()))}</span>
      </figcaption>
    </figure>
  );
}
