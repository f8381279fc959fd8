import { describe, expect, it } from "vitest";
import { direct, through } from "./way.ts";

describe("ways to a controller", () => {
  it("straight", () => {
    expect(direct.probe("https://zone.example.org/")).toBe("https://zone.example.org/zone/v1/probe");
    expect(direct.join("https://zone.example.org:8443")).toBe("https://zone.example.org:8443/zone/v1/join");
  });
  it("through the gateway of the site", () => {
    const way = through("/gateway/v1", "https://meet.example.org");
    const there = "controller=https%3A%2F%2Fzone.example.org%3A8443";
    expect(way.probe("https://zone.example.org:8443")).toBe(`https://meet.example.org/gateway/v1/probe?${there}`);
    expect(way.join("https://zone.example.org:8443")).toBe(`https://meet.example.org/gateway/v1/join?${there}`);
    expect(way).toMatchObject({ route: "tunnel", via: "gateway meet.example.org" });
  });
});
