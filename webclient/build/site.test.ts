import { expect, it } from "vitest";
import { firstLoad } from "./site.ts";

const chunk = (fileName: string, imports: string[] = [], isEntry = false) => ({
  type: "chunk" as const,
  fileName,
  imports,
  isEntry,
});

it("counts what the entry imports, once, and not what is loaded on demand", () => {
  const bundle = {
    "main.js": chunk("main.js", ["a.js", "b.js"], true),
    "a.js": chunk("a.js", ["b.js"]),
    "b.js": chunk("b.js", ["a.js", "outside"]),
    "room.js": chunk("room.js", ["a.js"]),
    "main.css": { type: "asset" as const, fileName: "main.css" },
  };
  expect(firstLoad(bundle).sort()).toEqual(["a.js", "b.js", "main.js"]);
});
