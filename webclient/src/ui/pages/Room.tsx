// The meeting's room: the stage, the controls, one side panel at a time.
import { createEffect, createMemo, createSignal, onCleanup, onMount, Show } from "solid-js";
import type { DeviceEvent, Devices } from "../../media/devices.ts";
import { measure } from "../../media/level.ts";
import { Talking } from "../../media/talking.ts";
import { Value } from "../../media/value.ts";
import type { Meeting } from "../../state/meeting.ts";
import { announceNotice } from "../announce.ts";
import { Logo } from "../icons.tsx";
import { keyFor, type Verb } from "../keys.ts";
import { Banners, Standing } from "../parts/Banners.tsx";
import { ChatPanel } from "../parts/ChatPanel.tsx";
import { ConnectionPanel } from "../parts/ConnectionPanel.tsx";
import { Controls } from "../parts/Controls.tsx";
import { Confirm, HelpDialog, SettingsDialog } from "../parts/Dialogs.tsx";
import { PeoplePanel } from "../parts/PeoplePanel.tsx";
import { Quality } from "../parts/Quality.tsx";
import { Stage } from "../parts/Stage.tsx";
import { ViewSwitch } from "../parts/ViewSwitch.tsx";
import { comesFrom } from "../returning.ts";
import { problemWords, t } from "../text/text.ts";
import { createTitle } from "../title.ts";
import { announce, clearToasts, toast } from "../toasts.tsx";
import { listen, watch } from "../watch.ts";

/** What stands at the side. */
export type PanelName = "chat" | "people" | "connection" | "";

/** How the stage is arranged. */
export type ViewName = "gallery" | "speaker";

export default function Room(props: { meeting: Meeting; devices: Devices }) {
  const { meeting, devices } = props;
  const room = watch(meeting.room);
  const status = watch(meeting.status);
  const local = watch(meeting.publisher.local);
  const [panel, setPanel] = createSignal<PanelName>("");
  const [view, setView] = createSignal<ViewName>("gallery");
  const [draft, setDraft] = createSignal("");
  const [dialog, setDialog] = createSignal<"" | "settings" | "help" | "end" | "up">("");
  let returnFocus: HTMLElement | null = null;

  const open = (name: PanelName) => {
    const next = panel() === name ? "" : name;
    if (next && !panel()) returnFocus = comesFrom();
    setPanel(next);
    if (!next) returnFocus?.focus();
  };
  createEffect(() => meeting.showChat(panel() === "chat"));
  const unread = watch(meeting.unread);
  createTitle(() => room().meeting.topic, unread);
  onCleanup(clearToasts);
  // The stage comes first: the controls take as long again to make, and the first picture would wait for them.
  const [staged, setStaged] = createSignal(false);
  onMount(() => {
    const rest = setTimeout(() => setStaged(true));
    onCleanup(() => clearTimeout(rest));
  });

  const verbs: Record<Verb, () => void> = {
    mute: () => local().watching || void setMicrophone(meeting, !local().microphoneOn),
    camera: () => local().watching || void meeting.publisher.setCamera(!local().cameraOn),
    hand: () => meeting.publisher.setHand(!local().handRaised),
    share: () => local().watching || (local().sharing ? meeting.publisher.unshare() : void meeting.publisher.share()),
    chat: () => open("chat"),
    people: () => open("people"),
    connection: () => open("connection"),
    view: () => setView(view() === "gallery" ? "speaker" : "gallery"),
    fullscreen: () => void fullscreen(),
    help: () => setDialog("help"),
    settings: () => setDialog("settings"),
    leave: () => meeting.leave(),
    end: () => setDialog("end"),
    escape: () => panel() && open(panel()),
  };

  const onKey = (event: KeyboardEvent) => {
    const verb = keyFor(event);
    if (!verb || dialog()) return;
    if (verb === "escape" && !panel()) return;
    event.preventDefault();
    verbs[verb]();
  };
  onMount(() => document.addEventListener("keydown", onKey));
  onCleanup(() => document.removeEventListener("keydown", onKey));

  listen(meeting.notices, (n) => announceNotice(n, panel() === "chat"));
  listen(meeting.notices, (n) => n.what === "stage" && setDialog(n.up ? "up" : ""));
  listen(devices.events, deviceToast);
  listen(meeting.publisher.failed, () => toast(t().screenFailed, "problem"));
  announceStatus(meeting);
  tellMutedTalk(devices, () => !local().microphoneOn && !local().watching);

  const inviteLink = () => {
    const { number, passcode } = meeting.link;
    return `${location.origin}/j/${number}${passcode ? `?pwd=${encodeURIComponent(passcode)}` : ""}`;
  };

  return (
    <div class="room" classList={{ "with-panel": panel() !== "" }}>
      <button type="button" class="skip" onClick={focusControls}>
        {t().skipToControls}
      </button>
      <header class="room-top">
        <span class="brand small">
          <Logo />
          <h1>{room().meeting.topic || t().appName}</h1>
        </span>
        <div class="row tight">
          <ViewSwitch view={view()} set={setView} />
          <Quality meeting={meeting} open={() => open("connection")} pressed={panel() === "connection"} />
        </div>
      </header>
      <main class="room-main">
        <Standing meeting={meeting} status={status()} />
        <Banners meeting={meeting} status={status()} />
        <Stage meeting={meeting} devices={devices} view={view()} invite={inviteLink()} />
      </main>
      <Show when={panel() === "chat"}>
        <ChatPanel meeting={meeting} draft={draft()} write={setDraft} close={() => open("chat")} />
      </Show>
      <Show when={panel() === "people"}>
        <PeoplePanel meeting={meeting} invite={inviteLink()} close={() => open("people")} />
      </Show>
      <Show when={panel() === "connection"}>
        <ConnectionPanel meeting={meeting} close={() => open("connection")} />
      </Show>
      <Show when={staged()} fallback={<div class="controls" />}>
        <Controls meeting={meeting} panel={panel()} view={view()} do={(verb) => verbs[verb]()} />
        <SettingsDialog open={dialog() === "settings"} close={() => setDialog("")} devices={devices} />
        <HelpDialog open={dialog() === "help"} close={() => setDialog("")} />
        <Confirm
          open={dialog() === "end"}
          title={t().endForAllTitle}
          text={t().endForAllText}
          action={t().endForAll}
          close={() => setDialog("")}
          confirm={() => meeting.host("end")}
        />
        <Confirm
          open={dialog() === "up"}
          title={t().upTitle}
          text={t().upText}
          action={t().upAction}
          calm
          close={() => setDialog("")}
          confirm={() => void setMicrophone(meeting, true)}
        />
      </Show>
    </div>
  );
}

/** Turns the microphone on or off, and says so: on a screen reader the change is not seen. */
async function setMicrophone(meeting: Meeting, on: boolean): Promise<void> {
  if (await meeting.publisher.setMicrophone(on)) announce(on ? t().saidUnmuted : t().saidMuted);
}

async function fullscreen(): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen?.().catch(() => {});
}

function focusControls(): void {
  document.querySelector<HTMLElement>("#controls button")?.focus();
}

/** Tells what happened to a device in use. */
function deviceToast(event: DeviceEvent): void {
  const kind = t()[event.kind];
  if (event.what === "switched") toast(t().deviceSwitched(kind, event.label));
  else if (event.what === "lost") toast(t().deviceLost(kind), "problem");
  else toast(problemWords(event.problem).title, "problem", problemWords(event.problem).remedy);
}

/** Tells whoever talks while muted that nobody hears. Once each time: they may be talking to somebody else. */
function tellMutedTalk(devices: Devices, muted: () => boolean): void {
  const microphone = watch(devices.microphone);
  const track = createMemo(() => (muted() ? microphone() : null));
  createEffect(() => {
    const source = track();
    if (!source) return;
    const life = new AbortController();
    onCleanup(() => life.abort());
    const level = new Value(0);
    const talking = new Talking();
    level.subscribe((now) => {
      if (talking.heard(now, performance.now())) toast(t().mutedTalking, "info", t().mutedTalkingText);
    });
    measure(source, level, life.signal);
  });
}

/** Says when one is in, and when one is back. */
function announceStatus(meeting: Meeting): void {
  let before = meeting.status.get().state;
  if (before === "live") announce(t().saidJoinedSelf);
  onCleanup(
    meeting.status.subscribe((s) => {
      if (s.state === "live" && before === "joining") announce(t().saidJoinedSelf);
      if (s.state === "live" && before === "reconnecting") toast(t().saidBack, "good");
      before = s.state;
    }),
  );
}
