// What is shown when a participation is over.
import { onMount, Show } from "solid-js";
import type { MeetingStatus } from "../../state/meeting.ts";
import { follow } from "../navigation.ts";
import { ProblemNote } from "../parts/ProblemNote.tsx";
import { Top } from "../parts/Top.tsx";
import { t } from "../text/text.ts";
import { createTitle } from "../title.ts";

type Over = Extract<MeetingStatus, { state: "over" }>;

export default function After(props: { over: Over; rejoin: () => void }) {
  let title: HTMLHeadingElement | undefined;
  onMount(() => title?.focus());
  const heading = () => {
    switch (props.over.reason) {
      case "removed":
        return t().removedTitle;
      case "ended":
        return t().endedTitle;
      case "resumed":
        return t().resumedTitle;
      case "failed":
        return t().failedTitle;
      default:
        return t().leftTitle;
    }
  };
  createTitle(heading);
  const mayRejoin = () => props.over.reason !== "ended" && props.over.problem?.code !== "meeting_ended";
  return (
    <div class="page after">
      <Top />
      <main class="after-main">
        <h1 ref={title} tabindex="-1">
          {heading()}
        </h1>
        <Show when={props.over.reason === "ended" && props.over.by}>
          <p>{t().endedBy(props.over.by)}</p>
        </Show>
        <Show when={props.over.reason === "resumed"}>
          <p>{t().resumedText}</p>
        </Show>
        <Show when={props.over.problem}>{(p) => <ProblemNote problem={p()} />}</Show>
        <div class="row">
          <Show when={mayRejoin()}>
            <button type="button" class="button primary large" onClick={() => props.rejoin()}>
              {t().rejoin}
            </button>
          </Show>
          <a class="button large" href="/" onClick={follow}>
            {t().newOne}
          </a>
        </div>
      </main>
    </div>
  );
}
