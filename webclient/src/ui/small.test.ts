import { describe, expect, it } from "vitest";
import { keys } from "./keys.ts";
import { linkify } from "./linkify.ts";
import { hue, initials } from "./parts/names.ts";

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
])("initials of %s", (name, want) => expect(initials(name)).toBe(want));

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
