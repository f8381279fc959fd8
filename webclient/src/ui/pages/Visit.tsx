// One visit to a meeting's address: lobby, room, and what comes after.
import { createSignal, lazy, Match, onCleanup, onMount, Suspense, Switch } from "solid-js";
import { Devices } from "../../media/devices.ts";
import type { Ticket } from "../../state/entry.ts";
import type { MeetingLink } from "../../state/link.ts";
import { Meeting, type MeetingStatus } from "../../state/meeting.ts";
import { load, save } from "../../state/preferences.ts";
import After from "./After.tsx";
import Lobby from "./Lobby.tsx";

const loadRoom = () => import("./Room.tsx");
const Room = lazy(loadRoom);

type Over = Extract<MeetingStatus, { state: "over" }>;
type Stage = { at: "lobby" } | { at: "room"; meeting: Meeting } | { at: "after"; over: Over };

export default function Visit(props: { link: MeetingLink }) {
  const [stage, setStage] = createSignal<Stage>({ at: "lobby" });
  let token: string | undefined;
  let devices = new Devices(load().devices);
  let link = props.link;
  const meeting = () => {
    const s = stage();
    return s.at === "room" ? s.meeting : null;
  };
  const over = () => {
    const s = stage();
    return s.at === "after" ? s.over : null;
  };

  onMount(() => void loadRoom()); // while the person looks at themselves
  onCleanup(() => {
    meeting()?.leave();
    devices.close();
  });
  const leave = () => meeting()?.leave();
  addEventListener("pagehide", leave);
  onCleanup(() => removeEventListener("pagehide", leave));

  const enter = (ticket: Ticket, on: { microphone: boolean; camera: boolean }) => {
    const joined = new Meeting(ticket, devices, on);
    link = ticket.link;
    joined.status.subscribe((s) => {
      if (s.state === "live") save({ zone: joined.report().zone });
      if (s.state !== "over") return;
      token = joined.token;
      devices.close();
      setStage({ at: "after", over: s });
    });
    setStage({ at: "room", meeting: joined });
  };
  const rejoin = () => {
    devices = new Devices(load().devices);
    setStage({ at: "lobby" });
  };

  return (
    <Switch>
      <Match when={stage().at === "lobby"}>
        <Lobby link={link} devices={devices} token={token} enter={enter} />
      </Match>
      <Match when={meeting()}>
        {(m) => (
          <Suspense>
            <Room meeting={m()} devices={devices} />
          </Suspense>
        )}
      </Match>
      <Match when={over()}>{(o) => <After over={o()} rejoin={rejoin} />}</Match>
    </Switch>
  );
}
