import { Show } from "solid-js";
import type { Problem } from "../../protocol/messages.ts";
import { Warning } from "../icons.tsx";
import { problemWords } from "../text/text.ts";

/** A problem in plain words: what, why, and what to do. */
export function ProblemNote(props: { problem: Problem }) {
  const text = () => problemWords(props.problem.code);
  return (
    <div class="note note-problem" role="alert">
      <Warning />
      <div>
        <strong>{text().title}</strong>
        <p>{text().cause}</p>
        <p class="remedy">{text().remedy}</p>
        <Show when={props.problem.detail}>
          <p class="detail">{props.problem.detail}</p>
        </Show>
      </div>
    </div>
  );
}
