// What kind of client this is, as it is told to the servers.
import type { CameraCodec } from "../media/connections.ts";
import type { ClientInfo } from "../protocol/messages.ts";

/** Describes this browser, briefly. */
export function clientInfo(agent: string = navigator.userAgent): ClientInfo {
  return { kind: "web", version: browser(agent), os: system(agent) };
}

function browser(agent: string): string {
  for (const [name, pattern] of [
    ["Edge", /Edg\/([\d.]+)/],
    ["Firefox", /Firefox\/([\d.]+)/],
    ["Chrome", /Chrome\/([\d.]+)/],
    ["Safari", /Version\/([\d.]+).*Safari/],
  ] as const) {
    const version = pattern.exec(agent)?.[1];
    if (version) return `${name} ${version}`.slice(0, 64);
  }
  return "browser";
}

function system(agent: string): string {
  if (/iPhone|iPad/.test(agent)) return "iOS";
  if (/Android/.test(agent)) return "Android";
  if (/Windows/.test(agent)) return "Windows";
  if (/Mac OS X/.test(agent)) return "macOS";
  return /Linux|CrOS/.test(agent) ? "Linux" : "";
}

/** Whether the screen is a phone's: fewer pictures are asked for. */
export function isPhone(): boolean {
  return Math.min(globalThis.screen?.width ?? 1024, globalThis.innerWidth ?? 1024) < 600;
}

/** The codec in which the page's address asks the camera to be sent, ?camera=vp9 or av1; null for that which everybody decodes. */
export const cameraCodec: CameraCodec | null = (() => {
  const asked = new URLSearchParams(globalThis.location?.search ?? "").get("camera")?.toLowerCase();
  return asked === "vp9" || asked === "av1" ? asked : null;
})();

/** Video slots to offer. */
export function videoSlots(): number {
  return isPhone() ? 9 : 25;
}

/** What this browser lacks to take part; null if it lacks nothing. */
export function obstacle(): "browser_too_old" | "insecure_page" | null {
  if (globalThis.isSecureContext === false) return "insecure_page";
  const can =
    typeof RTCPeerConnection === "function" &&
    "setCodecPreferences" in RTCRtpTransceiver.prototype &&
    "replaceTrack" in RTCRtpSender.prototype;
  return can ? null : "browser_too_old";
}
