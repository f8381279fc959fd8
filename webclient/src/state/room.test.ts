import { describe, expect, it } from "vitest";
import golden from "../../../protocol/testdata/from_router.json";
import type { FromRouter, Participant } from "../protocol/messages.ts";
import { decode } from "./control.ts";
import { emptyRoom, headcount, isRaised, maxKeptChat, ordered, type RoomState, reduce } from "./room.ts";

const meeting = { id: "m1", number: "123456789", topic: "T" };
const person = (id: string, change: Partial<Participant> = {}): Participant => ({
  id,
  name: id.toUpperCase(),
  role: "participant",
  joined_at: `2026-03-14T15:00:0${id.length}Z`,
  audio_muted: false,
  video_muted: false,
  sharing: false,
  path: "ok",
  ...change,
});

/** Plays messages to a room; tells the last state and all notices. */
function play(messages: FromRouter[], from = emptyRoom(meeting, "me")) {
  let state = from;
  const told = [];
  for (const m of messages) {
    const next = reduce(state, m);
    state = next.state;
    told.push(...next.notices);
  }
  return { state, told };
}

const welcome = (...participants: Participant[]): FromRouter => ({
  type: "welcome",
  meeting,
  participant: "me",
  participants: [person("me"), ...participants],
  slots: [],
  chat: [],
  now_ms: 0,
});
const chat = (id: string, from: string, at = "2026-03-14T15:10:00Z"): FromRouter => ({
  type: "chat",
  id,
  from,
  name: from,
  text: `text of ${id}`,
  at,
});

describe("the golden messages shared with the servers", () => {
  it("are all understood", () => {
    for (const message of golden) expect(decode(JSON.stringify(message)), message.type).toEqual(message);
  });
  it("make this room", () => {
    const { state, told } = play(golden as FromRouter[]);
    expect([...state.participants.keys()]).toEqual(["p1", "p2"]);
    expect(state.chat.map((c) => c.text)).toEqual(["hi", "hello"]);
    expect(state.farewell).toEqual({ reason: "removed", by: "p1" });
    expect(told.map((n) => n.what)).toEqual(["joined", "muted"]); // the refusal is fatal: what comes of it is the meeting's to tell;
  });
});

describe("reduce", () => {
  it("tells who joins and leaves, but not oneself", () => {
    const { state, told } = play([
      welcome(),
      { type: "roster", changed: [person("ann"), person("me", { audio_muted: true })] },
      {
        type: "roster",
        left: [
          { id: "ann", reason: "removed" },
          { id: "nobody", reason: "left" },
        ],
      },
    ]);
    expect(told).toEqual([
      { what: "joined", name: "ANN" },
      { what: "left", name: "ANN", removed: true },
    ]);
    expect([...state.participants.keys()]).toEqual(["me"]);
  });
  it("tells hands, shares and lost paths when they change", () => {
    const raised = { hand_raised_at: "2026-03-14T15:09:26Z" };
    const { told } = play([
      welcome(person("ann")),
      { type: "roster", changed: [person("ann", { ...raised, sharing: true })] },
      { type: "roster", changed: [person("ann", { path: "lost" })] },
      { type: "roster", changed: [person("ann")] },
      { type: "roster", changed: [person("me", raised)] },
    ]);
    expect(told.map((n) => n.what)).toEqual(["hand", "sharing", "hand", "sharing", "path", "path", "hand"]);
    expect(told.at(-1)).toEqual({ what: "hand", name: "ME", raised: true, mine: true });
  });
  it("takes the welcome after a reconnection as the whole truth", () => {
    const { state, told } = play([
      welcome(person("ann"), person("bob")),
      { type: "slots", slots: [{ slot: "v1", participant: "ann", source: "camera" }] },
      chat("c1", "ann"),
      welcome(person("bob")),
    ]);
    expect([...state.participants.keys()]).toEqual(["me", "bob"]);
    expect(state.chat).toHaveLength(1); // what was said stays, even if another router does not know it
    expect(told.map((n) => n.what)).toEqual(["chat"]);
  });
  it("tells what was said while away, once", () => {
    const back = { ...welcome(), chat: [chat("c1", "ann"), chat("c2", "ann")] } as FromRouter;
    const { state, told } = play([welcome(), chat("c1", "ann"), back, chat("c2", "ann")]);
    expect(state.chat.map((c) => c.id)).toEqual(["c1", "c2"]);
    expect(told.filter((n) => n.what === "chat")).toHaveLength(2);
  });
  it("does not tell one's own words, and keeps only so many", () => {
    const many = Array.from({ length: maxKeptChat + 20 }, (_, i) => chat(`c${i}`, "me"));
    const { state, told } = play([welcome(), ...many]);
    expect(told).toEqual([]);
    expect(state.chat).toHaveLength(maxKeptChat);
    expect(state.chat.at(-1)?.id).toBe(`c${maxKeptChat + 19}`);
  });
  it("does not keep somebody speaking who has left", () => {
    const { state } = play([
      welcome(person("ann")),
      { type: "speakers", speakers: [{ participant: "ann", level: 20 }] },
      { type: "roster", left: [{ id: "ann", reason: "left" }] },
    ]);
    expect(state.speakers).toEqual([]);
  });
  it("shows oneself muted when a host did it", () => {
    const { state, told } = play([welcome(person("ann")), { type: "muted", by: "ann" }]);
    expect(state.participants.get("me")?.audio_muted).toBe(true);
    expect(told).toEqual([{ what: "muted", by: "ANN" }]);
  });
  it("takes lists that are null, as Go writes empty ones", () => {
    const bare = {
      type: "welcome",
      meeting,
      participant: "me",
      participants: null,
      slots: null,
      chat: null,
      now_ms: 0,
    };
    const { state } = play([
      bare as unknown as FromRouter,
      { type: "slots", slots: null } as unknown as FromRouter,
      { type: "speakers", speakers: null } as unknown as FromRouter,
      { type: "roster", changed: null, left: null } as unknown as FromRouter,
    ]);
    expect(state.participants.size).toBe(0);
  });
  it("never changes an older state", () => {
    const before = play([welcome(person("ann"))]).state;
    const frozen = structuredClone(before) as RoomState;
    play(
      [{ type: "roster", left: [{ id: "ann", reason: "left" }] }, chat("c1", "ann"), { type: "muted", by: "ann" }],
      before,
    );
    expect(before).toEqual(frozen);
  });
});

it("tells of what was refused, but not of a channel that is refused: one comes back by another", () => {
  const refusal = (fatal: boolean): FromRouter => ({
    type: "refusal",
    problem: { code: "session_unknown", title: "", cause: "", remedy: "" } as never,
    ...(fatal ? { fatal } : {}),
  });
  expect(play([refusal(false), refusal(true)]).told.map((n) => n.what)).toEqual(["refused"]);
});

it("ordered puts oneself first, then hands by time, then the others as they came", () => {
  const { state } = play([
    welcome(
      person("z"),
      person("yy"),
      person("b", { hand_raised_at: "2026-03-14T15:20:00Z" }),
      person("a", { hand_raised_at: "2026-03-14T15:19:00Z" }),
    ),
  ]);
  expect(ordered(state).map((p) => p.id)).toEqual(["me", "a", "b", "z", "yy"]);
});

it("isRaised knows Go's zero time", () => {
  expect(isRaised(person("a", { hand_raised_at: "0001-01-01T00:00:00Z" }))).toBe(false);
});

describe("a webinar", () => {
  const raised = { hand_raised_at: "2026-03-14T16:00:00Z" };
  it("tells of one's own place, not of the audience's coming and going", () => {
    const mine = (role: Participant["role"]): FromRouter => ({ type: "roster", changed: [person("me", { role })] });
    const { state, told } = play([
      {
        ...welcome(person("ann", { role: "host" })),
        attendees: 4,
        participants: [person("me", { role: "attendee" })],
      } as FromRouter,
      mine("participant"),
      mine("attendee"),
      { type: "audience", attendees: 812 },
    ]);
    expect(told).toEqual([
      { what: "stage", up: true },
      { what: "stage", up: false },
    ]);
    expect(state.attendees).toBe(812);
    expect(headcount(state)).toBe(812);
  });
  it("shows hosts who calls", () => {
    const ben = person("ben", { role: "attendee", ...raised });
    const { state, told } = play([
      welcome(),
      { type: "audience", attendees: 2 },
      { type: "roster", changed: [ben] },
      { type: "roster", left: [{ id: "ben", reason: "audience" }] },
      { type: "roster", changed: [{ ...person("ben") }] },
    ]);
    expect(told.map((n) => n.what)).toEqual(["hand", "joined"]);
    expect(headcount(state)).toBe(4);
  });
});
