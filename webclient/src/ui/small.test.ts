import { describe, expect, it } from "vitest";
import { keys } from "./keys.ts";
import { linkify } from "./linkify.ts";
import { begins } from "./parts/chatlines.ts";
import { hue, initials, within } from "./parts/names.ts";
import { titled } from "./title.ts";

describe("linkify", () => {
  it.each([
    ["plain", ["plain"]],
    ["see https://a.example/x?y=1.", ["see ", "<https://a.example/x?y=1>", "."]],
    ["（http://a.example）好", ["（", "<http://a.example>", "）好"]],
    ["https://a.example https://b.example", ["<https://a.example>", " ", "<https://b.example>"]],
    ["javascript:alert(1) data:text/html,x", ["javascript:alert(1) data:text/html,x"]],
    ["https://", ["https://"]],
    ["", []],
  ])("%s", (text, want) => {
    expect(linkify(text).map((p) => (p.href ? `<${p.href}>` : p.text))).toEqual(want);
  });
  it("loses nothing", () => {
    const text = "a https://x.example/(y) b <https://z.example> c";
    expect(
      linkify(text)
        .map((p) => p.text)
        .join(""),
    ).toBe(text);
  });
});

it.each([
  ["Ada Lovelace", "AL"],
  ["ada", "A"],
  ["Jean Luc van Damme", "JD"],
  ["陳怡君", "君"],
  ["김민수", "수"],
  ["", "?"],
  ["  ", "?"],
  ["😀 x", "😀X"],
  ["👩‍👩‍👧 Family 🇹🇼", "👩‍👩‍👧🇹🇼"],
  ["דנה לוי (guest)", "דל"],
  ["Zoë (Berlin)", "Z"],
  ["e\u0301lise", "E\u0301"],
  ["(?)", "("],
])("initials of %s", (name, want) => expect(initials(name)).toBe(want));

it("only a name that is read from the right is kept apart in a sentence", () => {
  expect(within("Ann 陳")).toBe("Ann 陳");
  expect(within("דנה (x)")).toBe("\u2068דנה (x)\u2069");
});

it("a person's colour is always the same, and one of twelve", () => {
  for (const id of ["", "p1", "陳"]) {
    expect(hue(id)).toBe(hue(id));
    expect(hue(id)).toBeGreaterThanOrEqual(0);
    expect(hue(id)).toBeLessThan(12);
  }
});

it("no key leaves a meeting", () => {
  expect(Object.values(keys)).not.toContain("leave");
  expect(Object.values(keys)).not.toContain("end");
});

it.each([
  ["", 0, "Causeway"],
  ["Stand-up", 0, "Stand-up · Causeway"],
  ["Stand-up", 3, "(3) Stand-up · Causeway"],
])("a window titled %j with %d unread", (page, unread, want) => expect(titled(page, unread)).toBe(want));

describe("name and time stand over a message", () => {
  const said = (from: string, minute: number, panel = false) => ({
    ...{ id: `${minute}`, from, name: from, text: "x", at: new Date(Date.UTC(2026, 2, 14, 9, minute)).toISOString() },
    ...(panel ? { panel } : {}),
  });
  it.each([
    ["the first", undefined, said("a", 0), true],
    ["another person's", said("a", 0), said("b", 1), true],
    ["the same person's", said("a", 0), said("a", 5), false],
    ["after a pause", said("a", 0), said("a", 6), true],
    ["to the panel", said("a", 0), said("a", 1, true), true],
  ])("%s", (_, before, now, want) => expect(begins(before, now)).toBe(want));
});
