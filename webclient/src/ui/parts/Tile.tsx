import { createMemo, Show } from "solid-js";
import type { Devices } from "../../media/devices.ts";
import type { Box } from "../../state/layout.ts";
import type { Meeting } from "../../state/meeting.ts";
import { isRaised, type RoomState } from "../../state/room.ts";
import { Hand, MicOff, Pin, Screen } from "../icons.tsx";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";
import { Avatar } from "./Avatar.tsx";
import { Picture } from "./Picture.tsx";
import { place } from "./place.ts";

interface Props {
  id: string;
  room: RoomState;
  box: Box | null;
  large: boolean;
  pinned: boolean;
  stream: MediaStream | undefined;
  meeting: Meeting;
  devices: Devices;
  tabbable: boolean;
  pin: () => void;
  focused: () => void;
}

/** One person on the stage. */
export function PersonTile(props: Props) {
  const mine = () => props.id === props.room.me;
  const local = watch(props.meeting.publisher.local);
  const camera = watch(props.devices.camera);
  const person = createMemo(() => props.room.participants.get(props.id));
  const name = () => person()?.name ?? "";
  const muted = () => (mine() ? !local().microphoneOn : (person()?.audio_muted ?? true));
  const raised = () => (mine() ? local().handRaised : isRaised(person() ?? blank));
  const speaking = () => !muted() && props.room.speakers.some((s) => s.participant === props.id);
  // A stream is made anew only for another track: a new one makes the picture flicker.
  const ownTrack = createMemo(() => (mine() && local().cameraOn ? camera() : null));
  const ownStream = createMemo(() => {
    const track = ownTrack();
    return track ? new MediaStream([track]) : undefined;
  });
  const picture = createMemo(() => (mine() ? ownStream() : person()?.video_muted ? undefined : props.stream));
  const trouble = () => {
    const path = person()?.path;
    if (mine() || !path || path === "ok") return "";
    return path === "lost" ? t().pathLost : path === "silent" ? t().pathSilent : "";
  };
  const states = () =>
    [
      mine() ? t().youSuffix(name()) : name(),
      muted() ? t().isMuted : speaking() ? t().isSpeaking : "",
      raised() ? t().handIsUp : "",
      person()?.sharing ? t().isSharing : "",
      trouble(),
    ].filter(Boolean);
  return (
    <li
      class="tile"
      classList={{ speaking: speaking(), large: props.large, small: (props.box?.width ?? 0) < 150 }}
      style={place(props.box)}
      data-tile={props.id}
      onDblClick={(e) => !(e.target as Element).closest("button") && props.pin()}
    >
      <Picture stream={picture()} same={props.meeting.replaces} mirrored={mine()} />
      <Avatar id={props.id} name={name()} />
      <Show when={trouble()}>
        <p class="tile-trouble">{trouble()}</p>
      </Show>
      <div class="tile-name" aria-hidden="true">
        <Show when={muted()}>
          <MicOff />
        </Show>
        <Show when={person()?.sharing}>
          <Screen />
        </Show>
        <span dir="auto">{mine() ? t().you : name()}</span>
      </div>
      <Show when={raised()}>
        <span class="tile-hand" aria-hidden="true">
          <Hand />
        </span>
      </Show>
      <button
        type="button"
        class="tile-pin"
        tabindex={props.tabbable ? 0 : -1}
        aria-pressed={props.pinned}
        aria-label={`${states().join(", ")}. ${props.pinned ? t().unpin : t().pin}`}
        onClick={() => props.pin()}
        onFocus={() => props.focused()}
      >
        <Pin />
      </button>
    </li>
  );
}

const blank = { hand_raised_at: undefined } as never;
