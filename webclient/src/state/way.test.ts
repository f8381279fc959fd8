import { describe, expect, it } from "vitest";
import type { Package } from "../protocol/messages.ts";
import { controlThrough, direct, through } from "./way.ts";

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

describe("detours to a control channel", () => {
  const to = (controlURL: string, gateway?: string) =>
    controlThrough({ gateway } as Package, controlURL, "https://meet.example.org:8443");
  it("lead through the gateway, if there is one", () => {
    expect(to("wss://m1.example.org/mmr/v1/control", "/gateway/v1")).toEqual([
      "wss://meet.example.org:8443/gateway/v1/control?to=wss%3A%2F%2Fm1.example.org%2Fmmr%2Fv1%2Fcontrol",
    ]);
    expect(to("wss://m1.example.org/mmr/v1/control")).toEqual([]);
  });
  it("are none where the gateway is the way already", () => {
    expect(to("wss://meet.example.org:8443/gateway/v1/control?to=x", "/gateway/v1")).toEqual([]);
  });
});
