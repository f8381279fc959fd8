import type { Meeting } from "../../state/meeting.ts";
import { Signal } from "../icons.tsx";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";

/** The connection's quality at a glance; opens the connection panel. */
export function Quality(props: { meeting: Meeting; pressed: boolean; open: () => void }) {
  const stats = watch(props.meeting.stats);
  const status = watch(props.meeting.status);
  const grade = () => {
    if (status().state !== "live") return "poor";
    const s = stats();
    if (!s) return "good";
    const loss = Math.max(s.audio.loss, s.video.loss);
    if (s.audio.state === "failed" || s.audio.state === "disconnected" || loss > 0.1) return "poor";
    return loss > 0.03 || s.audio.rttMS > 300 ? "fair" : "good";
  };
  return (
    <button
      type="button"
      class={`icon-button quality-${grade()}`}
      aria-label={t().connection}
      aria-pressed={props.pressed}
      data-tip={t().connection}
      onClick={() => props.open()}
    >
      <Signal />
    </button>
  );
}
