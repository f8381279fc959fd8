// What is remembered on this device between meetings.
import type { DeviceChoice } from "../media/devices.ts";
import type { Language } from "../protocol/messages.ts";

/** Everything that is remembered. */
export interface Preferences {
  name: string;
  devices: DeviceChoice;
  microphoneOn: boolean;
  cameraOn: boolean;
  /** Absent: the browser's language. */
  language?: Language;
  /** The zone used last, kept on the next join unless another is clearly better. */
  zone?: string;
}

const key = "causeway";

const defaults: Preferences = { name: "", devices: {}, microphoneOn: true, cameraOn: true };

/** Reads what is remembered; anything unreadable counts as not remembered. */
export function load(storage: Storage | undefined = safeStorage()): Preferences {
  try {
    const saved: unknown = JSON.parse(storage?.getItem(key) ?? "{}");
    if (typeof saved !== "object" || saved === null) return { ...defaults };
    return clean(saved as Record<string, unknown>);
  } catch {
    return { ...defaults };
  }
}

/** Remembers some of it. */
export function save(change: Partial<Preferences>, storage: Storage | undefined = safeStorage()): void {
  try {
    storage?.setItem(key, JSON.stringify({ ...load(storage), ...change }));
  } catch {
    // Private windows may refuse; nothing depends on it.
  }
}

function clean(saved: Record<string, unknown>): Preferences {
  const text = (v: unknown): string | undefined => (typeof v === "string" ? v : undefined);
  const devices = (saved.devices ?? {}) as Record<string, unknown>;
  const out: Preferences = {
    name: (text(saved.name) ?? "").slice(0, 64),
    devices: {},
    microphoneOn: saved.microphoneOn !== false,
    cameraOn: saved.cameraOn !== false,
  };
  for (const kind of ["microphone", "camera", "speaker"] as const) {
    const id = text(devices[kind]);
    if (id) out.devices[kind] = id;
  }
  if (saved.language === "en" || saved.language === "zh-TW") out.language = saved.language;
  const zone = text(saved.zone);
  if (zone) out.zone = zone;
  return out;
}

/** Browsers may throw on the mere mention of localStorage. */
function safeStorage(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}
