import { expect, it } from "vitest";
import { type Focus, holdMS, noFocus, refocus, settleMS } from "./focus.ts";

const present = new Set(["a", "b", "c"]);
const loud = (...ids: string[]) => ids.map((participant, i) => ({ participant, level: 20 + i }));

/** Plays who is loudest at which moment; tells who is large after each. */
function play(moments: [number, string[]][], from: Focus = noFocus): string[] {
  let focus = from;
  return moments.map(([at, who]) => {
    focus = refocus(focus, loud(...who), present, at);
    return focus.participant;
  });
}

it("takes the first who speaks at once", () => expect(play([[0, ["b"]]])).toEqual(["b"]));
it("keeps who is large while nobody speaks", () =>
  expect(
    play([
      [0, ["b"]],
      [9000, []],
    ]),
  ).toEqual(["b", "b"]));
it("does not change for a cough", () => {
  expect(
    play([
      [0, ["a"]],
      [5000, ["b", "a"]],
      [5000 + settleMS - 1, ["b", "a"]],
      [6000, ["a"]],
    ]),
  ).toEqual(["a", "a", "a", "a"]);
});
it("changes for who goes on speaking", () => {
  expect(
    play([
      [0, ["a"]],
      [5000, ["b", "a"]],
      [5000 + settleMS, ["b", "a"]],
    ]),
  ).toEqual(["a", "a", "b"]);
});
it("holds a new face for a while", () => {
  expect(
    play([
      [0, ["a"]],
      [100, ["b", "a"]],
      [holdMS - 1, ["b", "a"]],
      [holdMS, ["b", "a"]],
    ]),
  ).toEqual(["a", "a", "a", "b"]);
});
it("changes sooner when the old one is quiet", () => {
  expect(
    play([
      [0, ["a"]],
      [5000, ["b"]],
      [5000 + settleMS / 2, ["b"]],
    ]),
  ).toEqual(["a", "a", "b"]);
});
it("lets go of who has left", () => {
  const gone = refocus({ ...noFocus, participant: "z" }, [], present, 10);
  expect(gone.participant).toBe("");
});
