// The report of this participation, in plain words: how one got in, every
// attempt, and what is in use now.
import { createMemo, createSignal, For, onCleanup, Show } from "solid-js";
import { mediaKinds } from "../../media/connections.ts";
import type { Attempt, MediaKind, PhaseName, PhaseReport } from "../../protocol/messages.ts";
import type { LiveMedia } from "../../state/live.ts";
import type { Meeting } from "../../state/meeting.ts";
import { Check, Warning } from "../icons.tsx";
import { technical } from "../text/technical.ts";
import { problemWords, t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { CopyButton } from "./CopyField.tsx";
import { Panel } from "./Panel.tsx";

export function ConnectionPanel(props: { meeting: Meeting; close: () => void }) {
  const stats = watch(props.meeting.stats);
  const room = watch(props.meeting.room);
  const [tick, setTick] = createSignal(0);
  const timer = setInterval(() => setTick((n) => n + 1), 1000);
  onCleanup(() => clearInterval(timer));
  const report = createMemo(() => {
    tick();
    return props.meeting.report();
  });
  const skews = createMemo(() => {
    tick();
    return [...props.meeting.skews()].map(([id, ms]) => ({ name: room().participants.get(id)?.name ?? id, ms }));
  });
  const json = () => JSON.stringify(props.meeting.report(), null, 2);
  return (
    <Panel title={t().connectionTitle} close={props.close} class="connection">
      <section class="connection-body" tabindex="0" aria-label={t().connectionTitle}>
        <section aria-labelledby="in-use">
          <h3 id="in-use">{t().inUse}</h3>
          <dl class="facts-list">
            <Fact term={t().zone} value={report().zone} />
            <Fact term={t().controller} value={report().controller} />
            <Fact term={t().router} value={report().mmr} />
            <Fact term={t().controlChannel} value={ms(tick() >= 0 ? props.meeting.controlRTT() : 0)} />
            <Fact term={t().firstMedia} value={report().first_media_ms ? ms(report().first_media_ms) : "–"} />
          </dl>
          <For each={mediaKinds}>{(kind) => <Media kind={kind} now={stats()?.[kind]} />}</For>
          <Show when={skews().length > 0}>
            <h4>{t().lipSync}</h4>
            <dl class="facts-list">
              <For each={skews()}>{(s) => <Fact term={s.name} value={`${Math.round(s.ms)} ms`} />}</For>
            </dl>
          </Show>
        </section>
        <section aria-labelledby="got-in">
          <h3 id="got-in">{t().howYouGotIn}</h3>
          <ol class="phases">
            <For each={report().phases}>{(phase) => <Phase phase={phase} />}</For>
          </ol>
        </section>
        <Show when={report().events.length > 0}>
          <section aria-labelledby="events">
            <h3 id="events">{t().events}</h3>
            <ul class="events">
              <For each={report().events}>
                {(e) => (
                  <li>
                    <span>{seconds(e.at_ms)}</span> {technical(e.what)}
                  </li>
                )}
              </For>
            </ul>
          </section>
        </Show>
      </section>
      <div class="panel-foot row">
        <CopyButton text={json} label={t().copyJSON} />
      </div>
    </Panel>
  );
}

function Fact(props: { term: string; value: string }) {
  return (
    <div>
      <dt dir="auto">{props.term}</dt>
      <dd>{props.value || "–"}</dd>
    </div>
  );
}

const mediaNames = (kind: MediaKind) => ({ audio: t().audio, video: t().video, content: t().content })[kind];

function Media(props: { kind: MediaKind; now: LiveMedia | undefined }) {
  const up = () => props.now?.state === "connected";
  return (
    <div class="media-line">
      <span class="dot" classList={{ up: up() }} />
      <strong>{mediaNames(props.kind)}</strong>
      <Show when={up() && props.now} fallback={<span class="media-path">{t().notConnected}</span>}>
        {(now) => (
          <>
            <span class="media-path">
              {now().transport.toUpperCase()} {now().remote}
            </span>
            <span class="media-numbers">
              {[
                `↑ ${kbps(now().kbpsOut)} ↓ ${kbps(now().kbpsIn)}`,
                ms(now().rttMS),
                `${percent(now().loss)} ${t().lost}`,
              ].join(" · ")}
            </span>
          </>
        )}
      </Show>
    </div>
  );
}

const phaseNames = (name: PhaseName) =>
  ({ lookup: t().phaseLookup, zone: t().phaseZone, mmr: t().phaseMMR, media: t().phaseMedia })[name];

function Phase(props: { phase: PhaseReport }) {
  return (
    <li class="phase" classList={{ failed: !props.phase.ok }}>
      <p class="phase-head">
        <Show when={props.phase.ok} fallback={<Warning />}>
          <Check />
        </Show>
        <strong>{phaseNames(props.phase.name)}</strong>
        <span>{ms(props.phase.duration_ms)}</span>
      </p>
      <Show when={props.phase.error}>
        {(e) => (
          <p class="phase-error">
            {problemWords(e().code).title} {problemWords(e().code).remedy}
          </p>
        )}
      </Show>
      <ul class="attempts" aria-label={t().attempts}>
        <For each={props.phase.attempts}>{(a) => <AttemptLine attempt={a} />}</For>
      </ul>
    </li>
  );
}

function AttemptLine(props: { attempt: Attempt }) {
  const times = () => {
    const a = props.attempt;
    const parts = [a.connect_ms ? ms(a.connect_ms) : "", a.rtt_ms ? `${t().roundTrip} ${ms(a.rtt_ms)}` : ""];
    return parts.filter(Boolean).join(" · ");
  };
  return (
    <li>
      <span class="attempt-target">
        {props.attempt.media ? mediaNames(props.attempt.media as MediaKind) : props.attempt.target}
      </span>
      <span class="attempt-state">
        {props.attempt.transport} ·{" "}
        {props.attempt.ok ? t().attemptOK : technical(props.attempt.error ?? t().attemptFailed)}
        {times() ? ` · ${times()}` : ""}
      </span>
    </li>
  );
}

function ms(value: number): string {
  if (!value) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

function kbps(value: number): string {
  return value >= 1000 ? `${(value / 1000).toFixed(1)} Mbit/s` : `${Math.round(value)} kbit/s`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

function seconds(at: number): string {
  return `${(at / 1000).toFixed(1)} s`;
}
