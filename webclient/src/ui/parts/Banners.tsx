import { Match, Show, Switch } from "solid-js";
import type { Meeting, MeetingStatus } from "../../state/meeting.ts";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";

/** What a person has to know now, over the stage: joining, coming back, sound held back. */
export function Banners(props: { meeting: Meeting; status: MeetingStatus }) {
  const blocked = watch(props.meeting.sound.blocked);
  const reconnecting = () => (props.status.state === "reconnecting" ? props.status : null);
  return (
    <div class="banners">
      <div role="status">
        <Switch>
          <Match when={props.status.state === "joining"}>
            <p class="banner">
              <span class="spinner" />
              {t().joiningBanner}
            </p>
          </Match>
          <Match when={reconnecting()}>
            {(s) => (
              <p class="banner banner-warn">
                <span class="spinner" />
                {s().what === "media" ? t().reconnectingMedia : t().reconnectingControl}
              </p>
            )}
          </Match>
        </Switch>
      </div>
      <Show when={blocked()}>
        <p class="banner banner-warn" role="alert">
          {t().soundBlocked}
          <button type="button" class="button small" onClick={() => props.meeting.sound.unblock()}>
            {t().soundUnblock}
          </button>
        </p>
      </Show>
    </div>
  );
}

/** What stays so for long, above the stage and not over it: sharing, watching. */
export function Standing(props: { meeting: Meeting; status: MeetingStatus }) {
  const local = watch(props.meeting.publisher.local);
  return (
    <>
      <Show when={local().sharing}>
        <p class="standing standing-sharing">
          {t().sharingBanner}
          <button type="button" class="button small" onClick={() => props.meeting.publisher.unshare()}>
            {t().stopShare}
          </button>
        </p>
      </Show>
      <Show when={local().watching && props.status.state !== "joining"}>
        <p class="standing" role="note">
          {local().handRaised ? t().watchingRaised : t().watchingBanner}
        </p>
      </Show>
    </>
  );
}
