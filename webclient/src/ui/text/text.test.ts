import { describe, expect, it } from "vitest";
import table from "../../../../protocol/problems.json";
import { catalogues, pick } from "./text.ts";

const keys = Object.keys(catalogues.en) as (keyof typeof catalogues.en)[];

describe.each(Object.entries(catalogues))("the catalogue %s", (_, catalogue) => {
  it("has every text, none empty", () => {
    expect(Object.keys(catalogue).sort()).toEqual([...keys].sort());
    for (const key of keys) {
      const text = catalogue[key] as string | ((...args: unknown[]) => string);
      expect(typeof text === "function" ? text("X", 2) : text, key).not.toBe("");
    }
  });
  it("uses what it is given", () => {
    for (const key of keys) {
      const text = catalogue[key] as string | ((...args: unknown[]) => string);
      if (typeof text === "function") expect(text("Ann", "Ann"), key).toContain("Ann");
    }
  });
});

it("texts take the same arguments in every language", () => {
  for (const key of keys) {
    const arities = Object.values(catalogues).map((c) => (c[key] as { length: number }).length);
    if (typeof catalogues.en[key] === "function") expect(new Set(arities).size, key).toBe(1);
  }
});

it("every problem has words in both languages", () => {
  for (const [code, entry] of Object.entries(table)) {
    for (const language of ["en", "zh-TW"] as const) {
      const { title, cause, remedy } = entry.words[language];
      expect([title, cause, remedy].every(Boolean), `${code} ${language}`).toBe(true);
    }
  }
});

it.each([
  [["zh-TW", "en"], "zh-TW"],
  [["zh-Hant-HK"], "zh-TW"],
  [["de-DE", "zh"], "zh-TW"],
  [["en-GB", "zh-TW"], "en"],
  [["fr"], "en"],
  [[], "en"],
] as const)("a browser that wants %j reads %s", (wanted, want) => expect(pick(wanted)).toBe(want));
