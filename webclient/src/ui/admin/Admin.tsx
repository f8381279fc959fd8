// The operator's page: the whole system on a map and in tables, anew every second.
import { createEffect, createSignal, For, onCleanup, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import type { ServerOverview, ZoneOverview } from "../../protocol/messages.ts";
import { problemOf } from "../../protocol/problems.ts";
import { drain, loadKey, saveKey, type View, watchSystem } from "../../state/admin.ts";
import { ProblemNote } from "../parts/ProblemNote.tsx";
import { Top } from "../parts/Top.tsx";
import { createTitle } from "../title.ts";
import "./admin.css";
import { EventList, MeetingTable, Meter, ServerTable } from "./tables.tsx";
import { a } from "./text.ts";
import { ZoneMap } from "./ZoneMap.tsx";

export default function Admin() {
  const [key, setKey] = createSignal(loadKey());
  const use = (k: string) => {
    saveKey(k);
    setKey(k);
  };
  createTitle(() => a().title);
  return (
    <div class="page admin">
      <Top />
      <Show when={key()} keyed fallback={<KeyForm use={use} />}>
        {(k) => <System key={k} forget={() => use("")} />}
      </Show>
    </div>
  );
}

function KeyForm(props: { use: (key: string) => void }) {
  const [typed, setTyped] = createSignal("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (typed().trim()) props.use(typed().trim());
  };
  return (
    <main class="admin-key">
      <h1>{a().title}</h1>
      <p class="hint">{a().keyIntro}</p>
      <form onSubmit={submit}>
        <label class="label" for="admin-key">
          {a().keyLabel}
        </label>
        <div class="joined">
          <input
            id="admin-key"
            type="password"
            autocomplete="off"
            required
            aria-describedby="admin-key-hint"
            value={typed()}
            onInput={(e) => setTyped(e.currentTarget.value)}
          />
          <button type="submit" class="button primary">
            {a().open}
          </button>
        </div>
        <p id="admin-key-hint" class="hint">
          {a().keyHint}
        </p>
      </form>
    </main>
  );
}

function System(props: { key: string; forget: () => void }) {
  const [view, setView] = createStore<View>({ status: null, events: [], problem: null });
  const [failed, setFailed] = createSignal<View["problem"]>(null);
  const life = new AbortController();
  onCleanup(() => life.abort());
  createEffect(() => void watchSystem(props.key, (v) => setView(reconcile(v, { key: "id" })), life.signal));
  const order = async (server: ServerOverview, cancel: boolean) => {
    setFailed(null);
    try {
      await drain(props.key, {
        kind: server.kind,
        id: server.id,
        ...(server.zone ? { zone: server.zone } : {}),
        ...(cancel ? { cancel } : {}),
      });
    } catch (error) {
      setFailed(problemOf(error));
    }
  };
  const act = (server: ServerOverview, cancel: boolean) => void order(server, cancel);
  return (
    <main>
      <div class="row admin-title">
        <h1>{a().title}</h1>
        <button type="button" class="button small" onClick={() => props.forget()}>
          {a().close}
        </button>
      </div>
      <Show when={view.problem}>{(problem) => <ProblemNote problem={problem()} />}</Show>
      <Show when={failed()}>{(problem) => <ProblemNote problem={problem()} />}</Show>
      <Show when={view.status} fallback={<p role="status">{view.problem ? "" : a().loading}</p>}>
        {(status) => (
          <>
            <ul class="summary">
              <li>{a().participants(status().participants)}</li>
              <li>{a().meetings(status().meeting_count)}</li>
              <li>{a().zonesOpen(status().zones.filter((z) => z.state === "open").length, status().zones.length)}</li>
              <li classList={{ bad: silent(status()) > 0 }}>{a().silent(silent(status()))}</li>
            </ul>
            <ZoneMap zones={status().zones} />
            <For each={status().zones}>{(zone) => <ZoneSection zone={zone} drain={act} />}</For>
            <section>
              <h2>{a().outside}</h2>
              <ServerTable label={a().outside} servers={[...status().webs, ...status().tunnels]} drain={act} />
            </section>
            <section>
              <h2>{a().meetingsTitle}</h2>
              <Show when={status().meetings.length > 0} fallback={<p class="hint">{a().noMeetings}</p>}>
                <MeetingTable meetings={status().meetings} />
              </Show>
              <Show when={status().meeting_count > status().meetings.length}>
                <p class="hint">{a().moreMeetings(status().meeting_count - status().meetings.length)}</p>
              </Show>
            </section>
            <section>
              <h2>{a().eventsTitle}</h2>
              <EventList events={view.events} />
            </section>
          </>
        )}
      </Show>
    </main>
  );
}

function silent(status: NonNullable<View["status"]>): number {
  const inZones = status.zones.flatMap((z) => [...z.controllers, ...z.mmrs]);
  return [...inZones, ...status.tunnels, ...status.webs].filter((s) => s.health === "silent").length;
}

function ZoneSection(props: { zone: ZoneOverview; drain: (server: ServerOverview, cancel: boolean) => void }) {
  const name = () => props.zone.name || props.zone.id;
  return (
    <section>
      <h2>
        {name()}
        <Show when={props.zone.name && props.zone.name !== props.zone.id}>
          <span class="zone-id">{props.zone.id}</span>
        </Show>
        <span class="badge" classList={{ "badge-warn": props.zone.state !== "open" }}>
          {a().zone[props.zone.state]}
        </span>
        <Show when={props.zone.on_premises}>
          <span class="badge">{a().onPremises}</span>
        </Show>
      </h2>
      <p class="zone-facts">
        <Meter value={props.zone.load} /> {a().participants(props.zone.participants)}
      </p>
      <ServerTable label={name()} servers={[...props.zone.controllers, ...props.zone.mmrs]} drain={props.drain} />
    </section>
  );
}
