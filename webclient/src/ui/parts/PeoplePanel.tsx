import * as Menu from "@kobalte/core/dropdown-menu";
import { createMemo, createSignal, For, Show } from "solid-js";
import type { Participant } from "../../protocol/messages.ts";
import type { Meeting } from "../../state/meeting.ts";
import { headcount, isAttendee, isRaised, ordered } from "../../state/room.ts";
import { CameraOff, Hand, Mic, MicOff, More, Screen } from "../icons.tsx";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { Avatar } from "./Avatar.tsx";
import { CopyButton } from "./CopyField.tsx";
import { Confirm } from "./Dialogs.tsx";
import { Panel } from "./Panel.tsx";

/** Everybody who is here, and what a host may do about them. */
export function PeoplePanel(props: { meeting: Meeting; invite: string; close: () => void }) {
  const room = watch(props.meeting.room);
  const [removing, setRemoving] = createSignal<Participant | null>(null);
  const list = createMemo(() => ordered(room()).map((p) => p.id));
  const isHost = () => room().participants.get(room().me)?.role === "host";
  return (
    <Panel title={t().peopleTitle(headcount(room()))} close={props.close} class="people">
      <Show when={room().meeting.kind === "webinar"}>
        <p class="people-audience">{t().watchingCount(room().attendees)}</p>
      </Show>
      <ul class="people-list" tabindex="0" aria-label={t().people}>
        <For each={list()}>
          {(id) => (
            <Show when={room().participants.get(id)}>
              {(p) => (
                <Person
                  person={p()}
                  mine={id === room().me}
                  speaking={room().speakers.some((s) => s.participant === id)}
                  host={isHost()}
                  webinar={room().meeting.kind === "webinar"}
                  do={(verb) => (verb === "remove" ? setRemoving(p()) : props.meeting.host(verb, id))}
                />
              )}
            </Show>
          )}
        </For>
      </ul>
      <div class="panel-foot row">
        <CopyButton text={() => props.invite} label={t().copyJoinLink} />
        <Show when={isHost()}>
          <button type="button" class="button" onClick={() => props.meeting.host("mute_all")}>
            <MicOff />
            {t().muteAll}
          </button>
        </Show>
      </div>
      <Confirm
        open={removing() !== null}
        title={t().hostRemoveTitle(removing()?.name ?? "")}
        text={t().hostRemoveText}
        action={t().remove}
        close={() => setRemoving(null)}
        confirm={() => props.meeting.host("remove", removing()?.id)}
      />
    </Panel>
  );
}

interface PersonProps {
  person: Participant;
  mine: boolean;
  speaking: boolean;
  /** Whether the person who looks is a host. */
  host: boolean;
  webinar: boolean;
  do: (verb: "mute" | "lower_hand" | "remove" | "promote" | "demote") => void;
}

function Person(props: PersonProps) {
  const name = () => (props.mine ? t().youSuffix(props.person.name) : props.person.name);
  return (
    <li class="person" classList={{ speaking: props.speaking && !props.person.audio_muted }}>
      <Avatar id={props.person.id} name={props.person.name} />
      <div class="person-name">
        <span dir="auto">{name()}</span>
        <Show when={props.person.role === "host"}>
          <span class="badge">{t().host}</span>
        </Show>
        <Show when={isAttendee(props.person)}>
          <span class="badge">{t().attendee}</span>
        </Show>
        <Show when={props.person.path === "lost"}>
          <span class="badge badge-warn">{t().pathLost}</span>
        </Show>
      </div>
      <span class="person-states">
        <Show when={isRaised(props.person)}>
          <State label={t().handIsUp} class="hand">
            <Hand />
          </State>
        </Show>
        <Show when={props.person.sharing}>
          <State label={t().isSharing}>
            <Screen />
          </State>
        </Show>
        <Show when={props.person.video_muted && !isAttendee(props.person)}>
          <State label={t().cameraIsOff}>
            <CameraOff />
          </State>
        </Show>
        <Show when={!isAttendee(props.person)}>
          <Show
            when={props.person.audio_muted}
            fallback={
              <State label="">
                <Mic />
              </State>
            }
          >
            <State label={t().isMuted}>
              <MicOff />
            </State>
          </Show>
        </Show>
      </span>
      <Show when={props.host && isAttendee(props.person)}>
        <button
          type="button"
          class="button small"
          aria-label={t().hostBringUpName(props.person.name)}
          onClick={() => props.do("promote")}
        >
          {t().hostBringUp}
        </button>
      </Show>
      <Show when={props.host && !props.mine}>
        <Menu.Root placement="bottom-end" gutter={4} modal={false}>
          <Menu.Trigger class="icon-button" aria-label={t().hostMenu(props.person.name)}>
            <More />
          </Menu.Trigger>
          <Menu.Portal>
            <Menu.Content class="menu">
              <Menu.Item class="menu-item" disabled={props.person.audio_muted} onSelect={() => props.do("mute")}>
                <span>{t().hostMute}</span>
              </Menu.Item>
              <Menu.Item class="menu-item" disabled={!isRaised(props.person)} onSelect={() => props.do("lower_hand")}>
                <span>{t().hostLowerHand}</span>
              </Menu.Item>
              <Show when={props.webinar && props.person.role === "participant"}>
                <Menu.Item class="menu-item" onSelect={() => props.do("demote")}>
                  <span>{t().hostSendBack}</span>
                </Menu.Item>
              </Show>
              <Menu.Item class="menu-item menu-danger" onSelect={() => queueMicrotask(() => props.do("remove"))}>
                <span>{t().hostRemove}</span>
              </Menu.Item>
            </Menu.Content>
          </Menu.Portal>
        </Menu.Root>
      </Show>
    </li>
  );
}

/** A state as an icon, with its words for screen readers. */
function State(props: { label: string; class?: string; children: Element | unknown }) {
  return (
    <span class={props.class}>
      {props.children as Element}
      <Show when={props.label}>
        <span class="visually-hidden">{props.label}</span>
      </Show>
    </span>
  );
}
