// The start page: what this is, create a meeting, join one.
import { createSignal, Show } from "solid-js";
import type { CreateMeeting, Meeting, Problem } from "../../protocol/messages.ts";
import { problemOf } from "../../protocol/problems.ts";
import { createMeeting } from "../../state/api.ts";
import { lobbyPath, parseLink, parseTyped, spaced } from "../../state/link.ts";
import { Lock, Refresh, Route } from "../icons.tsx";
import { follow, go } from "../navigation.ts";
import { CopyField } from "../parts/CopyField.tsx";
import { ProblemNote } from "../parts/ProblemNote.tsx";
import { Top } from "../parts/Top.tsx";
import { t } from "../text/text.ts";
import { createTitle } from "../title.ts";

export default function Landing() {
  const [created, setCreated] = createSignal<Meeting | null>(null);
  createTitle(() => (created() ? t().created : ""));
  return (
    <div class="page landing">
      <Top />
      <main>
        <Show
          when={created()}
          fallback={
            <>
              <section class="hero">
                <div>
                  <h1>{t().tagline}</h1>
                  <p>{t().intro}</p>
                </div>
                <Bridge />
              </section>
              <div class="cards">
                <Create done={setCreated} />
                <Join />
              </div>
            </>
          }
        >
          {(meeting) => <Created meeting={meeting()} again={() => setCreated(null)} />}
        </Show>
        <ul class="points">
          <li>
            <Route />
            <h2>{t().pointMeasured}</h2>
            <p>{t().pointMeasuredText}</p>
          </li>
          <li>
            <Lock />
            <h2>{t().pointPrivate}</h2>
            <p>{t().pointPrivateText}</p>
          </li>
          <li>
            <Refresh />
            <h2>{t().pointSteady}</h2>
            <p>{t().pointSteadyText}</p>
          </li>
        </ul>
      </main>
      <footer class="foot">
        <a href="/docs">{t().apiDocs}</a>
      </footer>
    </div>
  );
}

/** A causeway over water, and those who meet on it. */
function Bridge() {
  return (
    <svg class="bridge" viewBox="0 0 360 220" aria-hidden="true">
      <circle class="bridge-sun" cx="262" cy="74" r="46" />
      <path class="bridge-far" d="M0 128q50-34 96-14t92-16 90 4 82 10v46H0z" />
      <path class="bridge-water" d="M0 158h360v62H0z" />
      <path
        class="bridge-deck"
        d="M0 112h360v16h-20v44h-14v-18a23 23 0 0 0-46 0v18h-14v-18a23 23 0 0 0-46 0v18h-14v-18a23 23 0 0 0-46 0v18h-14v-18a23 23 0 0 0-46 0v18H86v-18a23 23 0 0 0-46 0v18H26v-44H0z"
      />
      <path class="bridge-line" d="M20 188q14-8 28 0t28 0M120 200q14-8 28 0t28 0 28 0M250 190q14-8 28 0t28 0" />
      <g class="bridge-people">
        <circle cx="120" cy="86" r="8" />
        <path d="M107 112v-5a13 13 0 0 1 26 0v5z" />
        <circle cx="160" cy="82" r="8" />
        <path d="M147 112v-9a13 13 0 0 1 26 0v9z" />
        <circle cx="200" cy="87" r="8" />
        <path d="M187 112v-4a13 13 0 0 1 26 0v4z" />
      </g>
    </svg>
  );
}

function Create(props: { done: (meeting: Meeting) => void }) {
  const [topic, setTopic] = createSignal("");
  const [webinar, setWebinar] = createSignal(false);
  const [key, setKey] = createSignal("");
  const [needsKey, setNeedsKey] = createSignal(false);
  const [busy, setBusy] = createSignal(false);
  const [failed, setFailed] = createSignal<Problem | null>(null);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy()) return;
    setBusy(true);
    setFailed(null);
    try {
      const text = topic().trim();
      const wanted: CreateMeeting = { ...(text ? { topic: text } : {}), ...(webinar() ? { kind: "webinar" } : {}) };
      props.done(await createMeeting(wanted, key().trim() || undefined));
    } catch (error) {
      const p = problemOf(error);
      // Asked for the first time, the key is not a failure but a question.
      if (p.code === "unauthorized" && !needsKey()) setNeedsKey(true);
      else setFailed(p);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="card" onSubmit={submit}>
      <h2>{t().newMeeting}</h2>
      <p class="hint">{t().newMeetingHint}</p>
      <label class="field">
        <span class="label">{t().topic}</span>
        <input
          maxlength="200"
          placeholder={t().topicPlaceholder}
          value={topic()}
          onInput={(e) => setTopic(e.currentTarget.value)}
        />
      </label>
      <label class="check">
        <input type="checkbox" checked={webinar()} onChange={(e) => setWebinar(e.currentTarget.checked)} />
        <span>{t().webinar}</span>
      </label>
      <Show when={needsKey()}>
        <label class="field">
          <span class="label">{t().apiKey}</span>
          <input
            type="password"
            autocomplete="off"
            required
            autofocus
            aria-describedby="key-hint"
            value={key()}
            onInput={(e) => setKey(e.currentTarget.value)}
          />
          <span class="hint" id="key-hint">
            {t().apiKeyHint}
          </span>
        </label>
      </Show>
      <Show when={failed()}>{(p) => <ProblemNote problem={p()} />}</Show>
      <button type="submit" class="button primary" aria-disabled={busy()}>
        {busy() ? t().creating : t().create}
      </button>
    </form>
  );
}

function Join() {
  const [text, setText] = createSignal("");
  const [wrong, setWrong] = createSignal(false);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const link = parseTyped(text());
    if (link) go(lobbyPath(link));
    else setWrong(true);
  };
  return (
    <form class="card" onSubmit={submit} novalidate>
      <h2>{t().joinMeeting}</h2>
      <p class="hint">{t().joinHint}</p>
      <label class="field">
        <span class="label">{t().numberOrLink}</span>
        <input
          inputmode="text"
          autocomplete="off"
          spellcheck={false}
          placeholder={t().numberPlaceholder}
          value={text()}
          aria-invalid={wrong()}
          aria-describedby={wrong() ? "join-error" : undefined}
          onInput={(e) => {
            setText(e.currentTarget.value);
            setWrong(false);
          }}
        />
        <Show when={wrong()}>
          <span class="field-error" id="join-error" role="alert">
            {t().notALink}
          </span>
        </Show>
      </label>
      <button type="submit" class="button primary">
        {t().join}
      </button>
    </form>
  );
}

function Created(props: { meeting: Meeting; again: () => void }) {
  // The host's own way in stays on this address, whatever name the server gives itself in links.
  const lobby = () => {
    const link = parseLink(new URL(props.meeting.host_url));
    return lobbyPath(link ?? { number: props.meeting.number, passcode: props.meeting.passcode, invitation: "" });
  };
  return (
    <section class="card created" aria-labelledby="created-title">
      <h1 id="created-title" tabindex="-1" ref={(e) => queueMicrotask(() => e.focus())}>
        {t().created}
      </h1>
      <Show when={props.meeting.topic}>
        <p class="created-topic">{props.meeting.topic}</p>
      </Show>
      <p class="hint">{props.meeting.panel_url ? t().createdWebinarHint : t().createdHint}</p>
      <dl class="facts">
        <div>
          <dt>{t().meetingNumber}</dt>
          <dd>{spaced(props.meeting.number)}</dd>
        </div>
        <div>
          <dt>{t().passcode}</dt>
          <dd>{props.meeting.passcode}</dd>
        </div>
      </dl>
      <CopyField label={t().joinLink} value={props.meeting.join_url} />
      <Show when={props.meeting.panel_url}>{(link) => <CopyField label={t().panelLink} value={link()} />}</Show>
      <CopyField label={t().hostLink} value={props.meeting.host_url} />
      <div class="row">
        <a class="button primary" href={lobby()} onClick={follow}>
          {t().goToLobby}
        </a>
        <button type="button" class="button" onClick={() => props.again()}>
          {t().another}
        </button>
      </div>
    </section>
  );
}
