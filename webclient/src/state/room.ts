// What is known of the meeting: a pure reducer of the router's messages. It
// also says what a person should be told of.
import type {
  Chat,
  FarewellReason,
  FromRouter,
  MeetingInfo,
  Participant,
  Problem,
  Speaker,
} from "../protocol/messages.ts";

/** The most chat messages that are kept. */
export const maxKeptChat = 500;

/** The meeting as this participant knows it. */
export interface RoomState {
  meeting: MeetingInfo;
  /** This participant's own id. */
  me: string;
  participants: ReadonlyMap<string, Participant>;
  /** How many watch a webinar. */
  attendees: number;
  speakers: readonly Speaker[];
  chat: readonly Chat[];
  farewell: { reason: FarewellReason; by: string } | null;
}

/** Something to tell the person. */
export type Notice =
  | { what: "joined"; name: string }
  | { what: "left"; name: string; removed: boolean }
  | { what: "chat"; chat: Chat }
  | { what: "hand"; name: string; raised: boolean; mine: boolean }
  | { what: "sharing"; name: string; started: boolean }
  | { what: "stage"; up: boolean }
  | { what: "path"; name: string; lost: boolean }
  | { what: "muted"; by: string }
  | { what: "refused"; problem: Problem };

/** A room before the router's welcome. */
export function emptyRoom(meeting: MeetingInfo, me: string): RoomState {
  return {
    meeting,
    me,
    participants: new Map(),
    attendees: 0,
    speakers: [],
    chat: [],
    farewell: null,
  };
}

/** Takes one message. */
export function reduce(state: RoomState, message: FromRouter): { state: RoomState; notices: Notice[] } {
  switch (message.type) {
    case "welcome":
      return welcome(state, message);
    case "roster":
      return roster(state, message.changed ?? [], message.left ?? []);
    case "speakers":
      return quiet({ ...state, speakers: message.speakers ?? [] });
    case "chat":
      return chat(state, message);
    case "muted":
      return muted(state, message.by);
    case "farewell":
      return quiet({ ...state, farewell: { reason: message.reason, by: message.by ?? "" } });
    case "refusal":
      // A fatal one ends the channel; what comes of that is told by the meeting, or is nothing at all.
      return message.fatal ? quiet(state) : { state, notices: [{ what: "refused", problem: message.problem }] };
    case "audience":
      return quiet({ ...state, attendees: message.attendees });
    case "standby":
    case "slots":
    case "sync":
    case "layers":
    case "move":
    case "pong":
      return quiet(state);
  }
}

function quiet(state: RoomState): { state: RoomState; notices: Notice[] } {
  return { state, notices: [] };
}

/** The router's whole truth: at the start, and again after every reconnection. */
function welcome(state: RoomState, message: Extract<FromRouter, { type: "welcome" }>) {
  const spoken = message.chat ?? [];
  const known = new Set(spoken.map((c) => c.id));
  const earlier = state.chat.filter((c) => !known.has(c.id)); // another router may not know what was said before
  const next: RoomState = {
    meeting: message.meeting,
    me: message.participant,
    participants: new Map((message.participants ?? []).map((p) => [p.id, p])),
    attendees: message.attendees ?? 0,
    speakers: [],
    chat: [...earlier, ...spoken].sort((a, b) => a.at.localeCompare(b.at)).slice(-maxKeptChat),
    farewell: null,
  };
  const seen = new Set(state.chat.map((c) => c.id));
  const missed = state.participants.size > 0 ? spoken.filter((c) => !seen.has(c.id) && c.from !== next.me) : [];
  return { state: next, notices: missed.map((c): Notice => ({ what: "chat", chat: c })) };
}

function roster(state: RoomState, changed: Participant[], left: { id: string; reason: FarewellReason }[]) {
  const participants = new Map(state.participants);
  const notices: Notice[] = [];
  for (const p of changed) {
    notices.push(...differences(participants.get(p.id), p, state.me));
    participants.set(p.id, p);
  }
  for (const { id, reason } of left) {
    const gone = participants.get(id);
    if (!gone) continue;
    participants.delete(id);
    if (id !== state.me && reason !== "audience")
      notices.push({ what: "left", name: gone.name, removed: reason === "removed" });
  }
  const speakers = state.speakers.filter((s) => participants.has(s.participant));
  return { state: { ...state, participants, speakers }, notices };
}

/** What a person should be told of one participant's change. */
function differences(before: Participant | undefined, after: Participant, me: string): Notice[] {
  const mine = after.id === me;
  const raised = isRaised(after);
  if (!before && !mine && isAttendee(after)) return [{ what: "hand", name: after.name, raised, mine }];
  if (!before) return mine ? [] : [{ what: "joined", name: after.name }];
  const out: Notice[] = [];
  if (mine && isAttendee(before) !== isAttendee(after)) return [{ what: "stage", up: !isAttendee(after) }];
  if (isRaised(before) !== raised) out.push({ what: "hand", name: after.name, raised, mine });
  if (mine) return out;
  if (before.sharing !== after.sharing) out.push({ what: "sharing", name: after.name, started: after.sharing });
  const lost = after.path === "lost";
  if ((before.path === "lost") !== lost) out.push({ what: "path", name: after.name, lost });
  return out;
}

function chat(state: RoomState, said: Chat) {
  if (state.chat.some((c) => c.id === said.id)) return quiet(state);
  const { id, from, name, text, at } = said;
  const line = { id, from, name, text, at, ...(said.panel ? { panel: true } : {}) };
  const next = { ...state, chat: [...state.chat, line].slice(-maxKeptChat) };
  return { state: next, notices: said.from === state.me ? [] : [{ what: "chat", chat: line } as Notice] };
}

function muted(state: RoomState, by: string) {
  const me = state.participants.get(state.me);
  const participants = new Map(state.participants);
  if (me) participants.set(me.id, { ...me, audio_muted: true });
  const notice: Notice = { what: "muted", by: state.participants.get(by)?.name ?? "" };
  return { state: { ...state, participants }, notices: [notice] };
}

/** Whether a participant only watches a webinar. Hosts are shown those whose hand is up. */
export function isAttendee(p: Participant): boolean {
  return p.role === "attendee";
}

/** How many are here, those who watch included. */
export function headcount(state: RoomState): number {
  return state.attendees + [...state.participants.values()].filter((p) => !isAttendee(p)).length;
}

/** Whether a participant's hand is up. */
export function isRaised(p: Participant): boolean {
  return p.hand_raised_at !== undefined && !p.hand_raised_at.startsWith("0001-");
}

/** The others' order in lists: hands first by time, then by when they came. */
export function ordered(state: RoomState): Participant[] {
  const all = [...state.participants.values()];
  const key = (p: Participant): string =>
    `${p.id === state.me ? 0 : isRaised(p) ? 1 : 2} ${isRaised(p) ? p.hand_raised_at : p.joined_at} ${p.id}`;
  return all
    .map((p) => ({ p, k: key(p) }))
    .sort((a, b) => (a.k < b.k ? -1 : 1))
    .map(({ p }) => p);
}
