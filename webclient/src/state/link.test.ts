import { describe, expect, it } from "vitest";
import { checkPath, lobbyPath, parseCheck, parseLink, parseTyped, spaced } from "./link.ts";

describe("parseLink", () => {
  it.each([
    ["https://h/j/123456789?pwd=a&panel=s", { number: "123456789", passcode: "a", invitation: "s", panel: true }],
    ["https://h/j/123456789?pwd=a%26b&host=s", { number: "123456789", passcode: "a&b", invitation: "s" }],
    ["https://h/j/12345678901/", { number: "12345678901", passcode: "", invitation: "" }],
    ["https://h/j/12345678", null],
    ["https://h/j/123456789012", null],
    ["https://h/j/12345678x", null],
    ["https://h/", null],
  ])("%s", (link, want) => expect(parseLink(new URL(link))).toEqual(want));
  it("comes back from its path", () => {
    const link = { number: "1234567890", passcode: "a b&c=密", invitation: "x/y" };
    expect(parseLink(new URL(lobbyPath(link), "https://h"))).toEqual(link);
  });
});

describe("parseTyped", () => {
  it.each([
    ["123 456 7890", "1234567890"],
    ["123-456-789", "123456789"],
    ["  https://h:8443/j/123456789?pwd=x ", "123456789"],
    ["h.example.org/j/123456789", "123456789"],
    ["12345", undefined],
    ["", undefined],
    ["https://", undefined],
    ["javascript:alert(1)", undefined],
  ])("%s", (text, want) => expect(parseTyped(text)?.number).toBe(want));
});

it.each([
  ["123456789", "123 456 789"],
  ["1234567890", "123 456 7890"],
  ["12345678901", "123 4567 8901"],
])("spaced %s", (number, want) => expect(spaced(number)).toBe(want));

describe("the connection check's path", () => {
  const at = (path: string) => parseCheck(new URL(path, "https://meet.example.org"));
  it("carries the meeting", () => {
    const link = { number: "123456789", passcode: "tulip", invitation: "" };
    expect(checkPath(link)).toBe("/check/123456789?pwd=tulip");
    expect(at(checkPath(link))).toEqual(link);
  });
  it("works without one", () => expect([at("/check"), at("/check/")]).toEqual([null, null]));
  it("is not any other", () => expect([at("/"), at("/checks"), at("/j/123456789")]).toEqual(Array(3).fill(undefined)));
});
