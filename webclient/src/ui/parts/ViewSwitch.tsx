import { Gallery, SpeakerView } from "../icons.tsx";
import type { ViewName } from "../pages/Room.tsx";
import { t } from "../text/text.ts";

/** Gallery or speaker view. */
export function ViewSwitch(props: { view: ViewName; set: (view: ViewName) => void }) {
  return (
    <div class="segmented">
      <button
        type="button"
        aria-pressed={props.view === "gallery"}
        aria-label={t().gallery}
        data-tip={t().gallery}
        onClick={() => props.set("gallery")}
      >
        <Gallery />
      </button>
      <button
        type="button"
        aria-pressed={props.view === "speaker"}
        aria-label={t().speakerView}
        data-tip={t().speakerView}
        onClick={() => props.set("speaker")}
      >
        <SpeakerView />
      </button>
    </div>
  );
}
