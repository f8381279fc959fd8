import { expect, it } from "vitest";
import { Talking } from "./talking.ts";

/** Levels every 100 ms, and at which of them it said that somebody talks. */
const said = (levels: number[]) => {
  const talking = new Talking();
  return levels.flatMap((level, i) => (talking.heard(level, i * 100) ? [i] : []));
};
const often = (level: number, n: number) => Array.from({ length: n }, () => level);

it.each([
  ["silence", often(0.1, 20), []],
  ["speech", often(0.7, 20), [6]],
  ["a cough", [...often(0.9, 5), ...often(0.2, 5)], []],
  ["coughs", [...often(0.9, 5), 0.2, ...often(0.9, 5), 0.2], []],
  ["speech after a cough", [...often(0.9, 5), 0.2, ...often(0.7, 8)], [12]],
  ["speech twice: said once", [...often(0.7, 8), 0.1, ...often(0.7, 8)], [6]],
])("%s", (_, levels, want) => expect(said(levels)).toEqual(want));
