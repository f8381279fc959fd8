import { describe, expect, it } from "vitest";
import { load, save } from "./preferences.ts";

function storage(text?: string): Storage {
  let kept = text ?? null;
  return {
    getItem: () => kept,
    setItem: (_: string, value: string) => {
      kept = value;
    },
  } as unknown as Storage;
}

describe("preferences", () => {
  it("remember", () => {
    const s = storage();
    save({ name: "Ann", devices: { camera: "c1" } }, s);
    save({ microphoneOn: false, language: "zh-TW", zone: "tpe" }, s);
    expect(load(s)).toEqual({
      name: "Ann",
      devices: { camera: "c1" },
      microphoneOn: false,
      cameraOn: true,
      language: "zh-TW",
      zone: "tpe",
    });
  });
  it.each(["", "null", "[]", "{", '"x"', '{"name":7,"devices":[1],"language":"xx","microphoneOn":"no"}'])(
    "start anew from %s",
    (text) => expect(load(storage(text))).toEqual({ name: "", devices: {}, microphoneOn: true, cameraOn: true }),
  );
  it("do without a storage", () => {
    const broken = {
      getItem: () => {
        throw new Error("denied");
      },
    } as unknown as Storage;
    expect(load(broken).name).toBe("");
    expect(() => save({ name: "x" }, broken)).not.toThrow();
  });
});
