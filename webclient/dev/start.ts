import "../src/ui/styles/main.css";
import { install } from "./fake.ts";

const query = new URL(location.href).searchParams;
install({
  people: Number(query.get("people") ?? 6),
  sharing: query.has("share"),
  problem: query.get("problem") ?? "",
});
await import("../src/ui/main.tsx");
