import { expect, it } from "vitest";
import { Outbox } from "./outbox.ts";

it.each([
  ["in order", ["a", "b"], ["a"], ["b"]],
  ["all", ["a", "b"], ["a", "b"], []],
  ["a later one first", ["a", "b", "c"], ["b"], ["a", "c"]],
  ["one of two alike", ["a", "a"], ["a"], ["a"]],
  ["trimmed by the router", ["a\u0085", "b"], ["a"], ["b"]],
  ["more than was said", ["a"], ["a", "b"], []],
])("what comes back is no longer waited for: %s", (_, said, heard, want) => {
  const outbox = new Outbox();
  for (const text of said) outbox.add(text);
  for (const text of heard) outbox.heard(text);
  expect(outbox.waiting.get().map((u) => u.text)).toEqual(want);
});

it("what was said since is not what was waited for then", () => {
  const outbox = new Outbox();
  outbox.add("a");
  outbox.add("b");
  const then = outbox.waiting.get();
  outbox.add("b");
  outbox.heard("a");
  expect(outbox.still(then).map((u) => u.text)).toEqual(["b"]);
});
