// The bar at the bottom: what one does all the time as buttons, the rest in a
// menu. On narrow screens more of it moves into the menu.
import * as Menu from "@kobalte/core/dropdown-menu";
import { createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import type { Meeting } from "../../state/meeting.ts";
import { headcount } from "../../state/room.ts";
import {
  Camera,
  CameraOff,
  ChatBubble,
  Expand,
  Gallery,
  Gear,
  Hand,
  Help,
  Leave,
  Mic,
  MicOff,
  More,
  People,
  Screen,
  ScreenStop,
  Signal,
  SpeakerView,
} from "../icons.tsx";
import type { Verb } from "../keys.ts";
import type { PanelName, ViewName } from "../pages/Room.tsx";
import { t } from "../text/text.ts";
import { matches, watch } from "../watch.ts";

interface Props {
  meeting: Meeting;
  panel: PanelName;
  view: ViewName;
  do: (verb: Verb) => void;
}

export function Controls(props: Props) {
  const local = watch(props.meeting.publisher.local);
  const room = watch(props.meeting.room);
  const unread = watch(props.meeting.unread);
  const canShare = typeof navigator.mediaDevices?.getDisplayMedia === "function";
  const isHost = () => room().participants.get(room().me)?.role === "host";
  return (
    <section class="controls" id="controls" aria-label={t().controls}>
      <div class="controls-group">
        <Show when={!local().watching}>
          <Control
            label={local().microphoneOn ? t().mute : t().unmute}
            key="M"
            icon={local().microphoneOn ? <Mic /> : <MicOff />}
            off={!local().microphoneOn}
            do={() => props.do("mute")}
          />
          <Control
            label={local().cameraOn ? t().stopCamera : t().startCamera}
            key="V"
            icon={local().cameraOn ? <Camera /> : <CameraOff />}
            off={!local().cameraOn}
            do={() => props.do("camera")}
          />
        </Show>
        <Show when={canShare && !local().watching}>
          <Control
            label={local().sharing ? t().stopShare : t().share}
            key="S"
            icon={local().sharing ? <ScreenStop /> : <Screen />}
            on={local().sharing}
            wide
            do={() => props.do("share")}
          />
        </Show>
        <Control
          label={local().handRaised ? t().lowerHand : t().raiseHand}
          key="H"
          icon={<Hand />}
          on={local().handRaised}
          do={() => props.do("hand")}
        />
      </div>
      <div class="controls-group">
        <Control
          label={unread() > 0 ? t().chatUnread(unread()) : t().chat}
          key="C"
          icon={<ChatBubble />}
          on={props.panel === "chat"}
          expanded={props.panel === "chat"}
          count={unread()}
          do={() => props.do("chat")}
        />
        <Control
          label={t().peopleCount(headcount(room()))}
          key="P"
          icon={<People />}
          on={props.panel === "people"}
          expanded={props.panel === "people"}
          number={headcount(room())}
          wide
          do={() => props.do("people")}
        />
        <MoreMenu {...props} canShare={canShare && !local().watching} sharing={local().sharing} />
      </div>
      <div class="controls-group">
        <Show
          when={isHost()}
          fallback={<Control label={t().leave} icon={<Leave />} danger do={() => props.do("leave")} />}
        >
          <LeaveMenu do={props.do} />
        </Show>
      </div>
    </section>
  );
}

interface ControlProps {
  label: string;
  key?: string;
  icon: JSX.Element;
  on?: boolean;
  off?: boolean;
  danger?: boolean;
  /** Hidden on narrow screens: it is in the menu there. */
  wide?: boolean;
  expanded?: boolean;
  /** Something new. */
  count?: number;
  number?: number;
  do: () => void;
}

function Control(props: ControlProps) {
  return (
    <button
      type="button"
      class="control"
      classList={{ on: props.on, off: props.off, danger: props.danger, wide: props.wide }}
      aria-label={props.label}
      aria-expanded={props.expanded}
      aria-keyshortcuts={props.key}
      data-tip={props.key ? `${props.label} (${props.key})` : props.label}
      onClick={() => props.do()}
    >
      {props.icon}
      <Show when={(props.count ?? 0) > 0}>
        <span class="count" aria-hidden="true">
          {(props.count ?? 0) > 99 ? "99+" : props.count}
        </span>
      </Show>
      <Show when={props.number !== undefined}>
        <span class="number" aria-hidden="true">
          {props.number}
        </span>
      </Show>
    </button>
  );
}

function MoreMenu(props: Props & { canShare: boolean; sharing: boolean }) {
  const [full, setFull] = createSignal(document.fullscreenElement !== null);
  const look = () => setFull(document.fullscreenElement !== null);
  onMount(() => document.addEventListener("fullscreenchange", look));
  onCleanup(() => document.removeEventListener("fullscreenchange", look));
  // Not merely hidden where there is a button for it: the arrow keys would find it.
  const narrow = matches("(max-width: 620px)");
  const item = (verb: Verb, icon: JSX.Element, label: string, key: string) => (
    <Menu.Item class="menu-item" onSelect={() => queueMicrotask(() => props.do(verb))}>
      {icon}
      <span>{label}</span>
      <kbd>{key}</kbd>
    </Menu.Item>
  );
  return (
    <Menu.Root placement="top" gutter={10} modal={false}>
      <Menu.Trigger class="control" aria-label={t().more} data-tip={t().more}>
        <More />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content class="menu">
          <Show when={narrow() && props.canShare}>
            {item("share", <Screen />, props.sharing ? t().stopShare : t().share, "S")}
          </Show>
          <Show when={narrow()}>{item("people", <People />, t().people, "P")}</Show>
          {item(
            "view",
            props.view === "gallery" ? <SpeakerView /> : <Gallery />,
            props.view === "gallery" ? t().speakerView : t().gallery,
            "G",
          )}
          {item("connection", <Signal />, t().connection, "I")}
          {item("settings", <Gear />, t().settings, "")}
          <Show when={document.fullscreenEnabled}>
            {item("fullscreen", <Expand />, full() ? t().exitFullscreen : t().fullscreen, "F")}
          </Show>
          {item("help", <Help />, t().help, "?")}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}

/** A host leaves, or ends it for everyone. */
function LeaveMenu(props: { do: (verb: Verb) => void }) {
  return (
    <Menu.Root placement="top-end" gutter={10} modal={false}>
      <Menu.Trigger class="control danger" aria-label={t().leave} data-tip={t().leave}>
        <Leave />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content class="menu">
          <Menu.Item class="menu-item" onSelect={() => props.do("leave")}>
            <span>{t().leaveMeeting}</span>
          </Menu.Item>
          <Menu.Item class="menu-item menu-danger" onSelect={() => queueMicrotask(() => props.do("end"))}>
            <span>{t().endForAll}</span>
          </Menu.Item>
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}
