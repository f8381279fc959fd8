import { createEffect, onCleanup } from "solid-js";
import { measure } from "../../media/level.ts";
import { type Readable, Value } from "../../media/value.ts";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";

/** How loud the microphone is, as a bar. */
export function Level(props: { track: Readable<MediaStreamTrack | null>; muted: boolean }) {
  const level = new Value(0);
  const now = watch(level);
  const track = watch(props.track);
  createEffect(() => {
    const t = track();
    if (!t) return;
    const life = new AbortController();
    measure(t, level, life.signal);
    onCleanup(() => life.abort());
  });
  const shown = () => (props.muted ? 0 : now());
  return (
    <meter class="level" min="0" max="1" value={shown().toFixed(2)} aria-label={t().inputLevel}>
      {Math.round(shown() * 100)}%
    </meter>
  );
}
