// The connection check: what can be known of the way into meetings without
// joining one, so that no meeting is disturbed. The router, and with it the
// control channel, UDP, TCP and TLS, is told only to those who join; the check
// says so and does not guess.
import type { Package } from "../protocol/messages.ts";
import { problemOf } from "../protocol/problems.ts";
import { lookup } from "./admission.ts";
import { clientInfo, obstacle } from "./client.ts";
import type { MeetingLink } from "./link.ts";
import { lastWay } from "./way.ts";
import { Survey } from "./zones.ts";

/** What is checked, in order. */
export const checks = [
  "browser",
  "web",
  "clock",
  "meeting",
  "controllers",
  "gateway",
  "media",
  "router",
  "microphone",
  "camera",
] as const;
export type CheckName = (typeof checks)[number];

/** How a check ended; unknown is what cannot be told from here. */
export type Verdict = "running" | "ok" | "warning" | "failed" | "unknown";

/** One line of the check. Its detail is for administrators, in technical terms. */
export interface Line {
  name: CheckName;
  verdict: Verdict;
  detail: string;
}

/** The difference of clocks from which on certificates and tokens begin to fail, in ms. */
const skewLimitMS = 30_000;

/** Judges this computer's clock by a server's Date header, read between two moments. Pure. */
export function clock(date: string | null, sentMS: number, receivedMS: number): Omit<Line, "name"> {
  const server = Date.parse(date ?? "");
  if (!Number.isFinite(server)) return { verdict: "unknown", detail: "" };
  // The header has whole seconds: the server's clock was up to one further.
  const skew = Math.round((sentMS + receivedMS) / 2 - (server + 500));
  const verdict = Math.abs(skew) < skewLimitMS ? "ok" : "failed";
  const seconds = Math.round(skew / 100) / 10 || 0; // -0 is 0
  return { verdict, detail: `${seconds > 0 ? "+" : ""}${seconds.toFixed(1)} s` };
}

/** Says what a browser's candidates mean for media. Pure. */
export function candidates(protocols: readonly string[]): Omit<Line, "name"> {
  const found = [...new Set(protocols.map((p) => p.toLowerCase()))].sort();
  if (found.length === 0) return { verdict: "failed", detail: "no local candidates: WebRTC is held back" };
  return { verdict: found.includes("udp") ? "ok" : "warning", detail: `local candidates: ${found.join(", ")}` };
}

/** Runs all checks; tell is given each line as it is known. Ends early when signal aborts. */
export async function check(link: MeetingLink | null, tell: (line: Line) => void, signal: AbortSignal): Promise<void> {
  const say = (name: CheckName, verdict: Verdict, detail = "") => {
    if (!signal.aborted) tell({ name, verdict, detail });
  };
  const missing = obstacle();
  say("browser", missing ? "failed" : "ok", navigator.userAgent);
  say("router", "unknown");
  const own = [checkWeb(say), checkMedia(say), checkDevice("microphone", say), checkDevice("camera", say)];
  await Promise.all([...own, checkZones(link, say, signal)]);
}

type Say = (name: CheckName, verdict: Verdict, detail?: string) => void;

async function checkWeb(say: Say): Promise<void> {
  const [began, sent] = [performance.now(), Date.now()];
  try {
    const response = await fetch("/favicon.svg", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    const took = Math.round(performance.now() - began);
    say("web", response.ok ? "ok" : "failed", `${location.origin}: HTTP ${response.status}, ${took} ms`);
    const judged = clock(response.headers.get("Date"), sent, Date.now());
    say("clock", judged.verdict, judged.detail);
  } catch (error) {
    say("web", "failed", `${location.origin}: ${error instanceof Error ? error.message : error}`);
    say("clock", "unknown");
  }
}

/** Looks the meeting up, which joins nothing, and asks every controller, straight and through the gateway. */
async function checkZones(link: MeetingLink | null, say: Say, signal: AbortSignal): Promise<void> {
  if (!link) {
    for (const name of ["meeting", "controllers", "gateway"] as const) say(name, "unknown");
    return;
  }
  let pkg: Package;
  try {
    pkg = await lookup(link, { name: "Guest", client: clientInfo() }, null, signal);
    say("meeting", "ok", link.number);
  } catch (error) {
    say("meeting", "failed", problemOf(error).title);
    for (const name of ["controllers", "gateway"] as const) say(name, "unknown");
    return;
  }
  const last = lastWay(pkg);
  const life = new AbortController();
  const both = AbortSignal.any([signal, life.signal]);
  const run = async (name: "controllers" | "gateway", survey: Survey, ifNone: Verdict) => {
    await survey.ready.catch(() => {});
    const attempts = survey.attempts();
    const good = attempts.filter((a) => a.ok).length;
    const detail = attempts.map((a) => `${a.target}: ${a.ok ? `${a.rtt_ms} ms` : a.error}`).join("; ");
    say(name, good === 0 ? ifNone : good < attempts.length ? "warning" : "ok", detail);
  };
  const straight = run("controllers", new Survey(pkg.zones, "", both), "failed");
  // On the server's own machine the controllers have addresses that the gateway does not know.
  const local = location.protocol === "http:";
  if (last && !local) await run("gateway", new Survey(pkg.zones, "", both, last), "failed");
  else say("gateway", "unknown");
  await straight;
  life.abort();
}

/** Has the browser gather its own candidates: enterprise policies and extensions may forbid that. */
async function checkMedia(say: Say): Promise<void> {
  try {
    const peer = new RTCPeerConnection();
    const protocols: string[] = [];
    const gathered = new Promise<void>((resolve) => {
      setTimeout(resolve, 3000);
      peer.addEventListener("icecandidate", ({ candidate }) => {
        if (!candidate) return resolve();
        if (candidate.protocol) protocols.push(candidate.protocol);
      });
    });
    peer.createDataChannel("check");
    await peer.setLocalDescription();
    await gathered;
    peer.close();
    const judged = candidates(protocols);
    say("media", judged.verdict, judged.detail);
  } catch (error) {
    say("media", "failed", error instanceof Error ? error.message : String(error));
  }
}

/** Whether a device is there and permitted, without asking the person or switching anything on. */
async function checkDevice(name: "microphone" | "camera", say: Say): Promise<void> {
  try {
    const kind = name === "camera" ? "videoinput" : "audioinput";
    const count = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === kind).length;
    if (count === 0) return say(name, "failed", "no device");
    const { state } = await navigator.permissions.query({ name: name as PermissionName });
    say(name, state === "granted" ? "ok" : state === "denied" ? "failed" : "warning", `permission: ${state}`);
  } catch {
    say(name, "unknown");
  }
}
