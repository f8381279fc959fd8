// The system in tables: servers, meetings, events.
import { createSignal, For, Show } from "solid-js";
import type { MeetingOverview, ServerOverview, Event as SystemEvent } from "../../protocol/messages.ts";
import { language } from "../text/text.ts";
import { a } from "./text.ts";

/** Drains a server, or takes it back. */
export type Drain = (server: ServerOverview, cancel: boolean) => void;

const percent = (share: number) => `${Math.round(share * 100)} %`;

export function ServerTable(props: { label: string; servers: readonly ServerOverview[]; drain: Drain }) {
  return (
    <div class="table-frame">
      <table aria-label={props.label}>
        <thead>
          <tr>
            <th scope="col">{a().server}</th>
            <th scope="col">{a().health}</th>
            <th scope="col">{a().load}</th>
            <th scope="col" class="figure">
              {a().cpu}
            </th>
            <th scope="col" class="figure">
              {a().people}
            </th>
            <th scope="col" class="figure">
              {a().packets}
            </th>
            <th scope="col" class="figure">
              {a().egress}
            </th>
            <th scope="col">{a().version}</th>
            <td />
          </tr>
        </thead>
        <tbody>
          <For each={props.servers}>{(server) => <ServerRow server={server} drain={props.drain} />}</For>
        </tbody>
      </table>
    </div>
  );
}

function ServerRow(props: { server: ServerOverview; drain: Drain }) {
  const s = () => props.server;
  const routes = () => s().kind === "mmr";
  return (
    <tr>
      <th scope="row">
        {a().kind[s().kind]} <strong>{s().id}</strong>
        <span class="address">{s().address}</span>
      </th>
      <td>
        <span class="badge" classList={{ "badge-warn": s().health !== "healthy" || Boolean(s().ailment) }}>
          {healthOf(s())}
        </span>
      </td>
      <td>
        <Show when={s().kind !== "web"}>
          <Meter value={s().load_value} />
        </Show>
      </td>
      <td class="figure">{s().kind === "web" ? "" : percent(s().load.cpu)}</td>
      <td class="figure">
        {routes() || s().kind === "tunnel" ? s().participants : ""}
        {routes() && s().load.max_participants > 0 ? ` / ${s().load.max_participants}` : ""}
      </td>
      <td class="figure">{routes() ? Math.round(s().load.packets_per_s) : ""}</td>
      <td class="figure">{routes() ? (s().load.egress_bps / 1e6).toFixed(1) : ""}</td>
      <td>{s().version}</td>
      <td>
        <Show when={s().kind !== "web" && s().health !== "silent"}>
          <DrainButton server={s()} drain={props.drain} />
        </Show>
      </td>
    </tr>
  );
}

/** Asks once more before it drains; moving on takes the question back. */
function DrainButton(props: { server: ServerOverview; drain: Drain }) {
  const [sure, setSure] = createSignal(false);
  const draining = () => Boolean(props.server.drain) || props.server.health === "draining";
  const press = () => {
    if (draining()) props.drain(props.server, true);
    else if (sure()) props.drain(props.server, false);
    setSure(!draining() && !sure());
  };
  return (
    <button
      type="button"
      class="button small"
      classList={{ danger: sure() && !draining() }}
      title={a().drainHint(props.server.id)}
      onClick={press}
      onBlur={() => setSure(false)}
    >
      {draining() ? a().undrain : sure() ? a().drainSure : a().drain}
      <span class="visually-hidden"> {props.server.id}</span>
    </button>
  );
}

/** How a server is, and why or how far. */
export function healthOf(server: ServerOverview): string {
  if (server.health === "silent") return a().silentFor(Math.floor(server.heard_ms / 1000));
  if (server.drain) return a().left(server.drain.left);
  if (server.ailment) return a().ailment[server.ailment];
  return a().healthWord[server.health];
}

export function Meter(props: { value: number }) {
  return (
    <span class="load">
      <meter min={0} max={1} low={0.7} high={0.9} optimum={0} value={Math.min(1, props.value)} aria-label={a().load} />
      {percent(props.value)}
    </span>
  );
}

export function MeetingTable(props: { meetings: readonly MeetingOverview[] }) {
  return (
    <div class="table-frame">
      <table aria-label={a().meetingsTitle}>
        <thead>
          <tr>
            <th scope="col">{a().number}</th>
            <th scope="col">{a().topic}</th>
            <th scope="col" class="figure">
              {a().people}
            </th>
            <th scope="col">{a().routers}</th>
          </tr>
        </thead>
        <tbody>
          <For each={props.meetings}>
            {(m) => (
              <tr>
                <th scope="row">{m.number ?? "?"}</th>
                <td>{m.topic}</td>
                <td class="figure">{m.participants}</td>
                <td>{m.legs.map((l) => `${l.zone}/${l.mmr} ${l.participants}`).join(", ")}</td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </div>
  );
}

export function EventList(props: { events: readonly SystemEvent[] }) {
  const time = (at: string) => new Date(at).toLocaleString(language(), { dateStyle: "short", timeStyle: "medium" });
  return (
    <ol class="events">
      <For each={props.events} fallback={<li class="hint">{a().noEvents}</li>}>
        {(e) => (
          <li classList={{ bad: e.event === "silent" || e.event === "full" }}>
            <time datetime={e.at}>{time(e.at)}</time>
            <span>
              {a().kind[e.kind]} <strong>{e.zone ? `${e.zone}/${e.server}` : e.server}</strong> {a().event[e.event]}
            </span>
          </li>
        )}
      </For>
    </ol>
  );
}
