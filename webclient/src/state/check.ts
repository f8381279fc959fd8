// The connection check: the whole way into a meeting, phase by phase. It
// disturbs nobody: it is admitted to a router to learn where media goes, but
// never says hello on the control channel, without which a participant is
// shown to nobody; the router forgets it after 30 s.
import { Connections, mediaKinds } from "../media/connections.ts";
import { pause } from "../media/value.ts";
import type { JoinAnswer, MediaKind, Package, Transport } from "../protocol/messages.ts";
import { problemOf } from "../protocol/problems.ts";
import { admit, lookup, targets } from "./admission.ts";
import { clientInfo, obstacle } from "./client.ts";
import type { MeetingLink } from "./link.ts";
import { countersOf } from "./live.ts";
import { Recorder } from "./report.ts";
import { controlThrough, direct, lastWay, type Way } from "./way.ts";
import { Survey } from "./zones.ts";

/** What is checked, in order. */
export const checks = [
  "browser",
  "web",
  "clock",
  "meeting",
  "controllers",
  "gateway",
  "router",
  "control",
  "udp",
  "tcp",
  "tls",
  "media",
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

/** The name of the admission. */
const participant = "Connection check";

/** How long a control channel and a rung may take, in ms. */
const patience = { control: 5500, rung: 8000 };

/** Which of the three media connections tries which rung. */
const rungs = { audio: "udp", video: "tcp", content: "tls" } as const satisfies Record<MediaKind, Transport>;

/** What came of one rung. */
export interface Tried {
  rung: Transport;
  ok: boolean;
  detail: string;
}

/** Judges the rungs together: one that fails matters less while a better one works. Pure. */
export function judgeRungs(tried: readonly Tried[]): Line[] {
  const any = tried.some((t) => t.ok);
  return tried.map(({ rung, ok, detail }) => ({ name: rung, verdict: ok ? "ok" : any ? "warning" : "failed", detail }));
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
  const own = [checkWeb(say), checkMedia(say), checkDevice("microphone", say), checkDevice("camera", say)];
  const meeting = missing ? notTried(say, 3) : checkMeeting(link, say, signal);
  await Promise.all([...own, meeting]);
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

/** The lines that need a meeting, in the order in which one leads to the next. */
const chain = ["meeting", "controllers", "gateway", "router", "control", "udp", "tcp", "tls"] as const;

/** What comes from a line on could not be tried. */
function notTried(say: Say, from: number): void {
  for (const name of chain.slice(from)) say(name, "unknown");
}

/** Looks the meeting up, asks every controller, and is admitted by the best way that there is. */
async function checkMeeting(link: MeetingLink | null, say: Say, signal: AbortSignal): Promise<void> {
  if (!link) return notTried(say, 0);
  let pkg: Package;
  try {
    pkg = await lookup(link, { name: participant, client: clientInfo() }, null, signal);
    say("meeting", "ok", link.number);
  } catch (error) {
    say("meeting", "failed", problemOf(error).title);
    return notTried(say, 1);
  }
  const life = new AbortController();
  const both = AbortSignal.any([signal, life.signal]);
  try {
    const found = await checkZones(pkg, say, both);
    if (!found) return notTried(say, 3);
    await checkRouter(pkg, found, say, both);
  } finally {
    life.abort();
  }
}

/** Asks every controller, straight and through the gateway; says which to join by. */
async function checkZones(pkg: Package, say: Say, signal: AbortSignal): Promise<{ survey: Survey; way: Way } | null> {
  const run = async (name: "controllers" | "gateway", way: Way) => {
    const survey = new Survey(pkg.zones, "", signal, way);
    await survey.ready.catch(() => {});
    const attempts = survey.attempts();
    const good = attempts.filter((a) => a.ok).length;
    const detail = attempts.map((a) => `${a.target}: ${a.ok ? `${a.rtt_ms} ms` : a.error}`).join("; ");
    say(name, good === 0 ? "failed" : good < attempts.length ? "warning" : "ok", detail);
    return good > 0 ? { survey, way } : null;
  };
  const last = lastWay(pkg);
  // On the server's own machine the controllers have addresses that the gateway does not know.
  const local = location.protocol === "http:";
  if (!last || local) say("gateway", "unknown");
  const [straight, around] = await Promise.all([
    run("controllers", direct),
    last && !local ? run("gateway", last) : null,
  ]);
  return straight ?? around;
}

/** Is admitted, and tries the control channel and every rung of media at the router. */
async function checkRouter(
  pkg: Package,
  { survey, way }: { survey: Survey; way: Way },
  say: Say,
  signal: AbortSignal,
): Promise<void> {
  const connections = new Connections(0);
  signal.addEventListener("abort", () => connections.close());
  let answer: JoinAnswer;
  try {
    const request = { offers: await connections.offers(), client: clientInfo() };
    const recorder = new Recorder("");
    const to = targets(survey.ranked(), pkg);
    ({ answer } = await admit(to, { request, token: pkg.token, way, recorder, signal, staggerMS: 1500 }));
    say("router", "ok", `${answer.mmr}, ${answer.zone}`);
  } catch (error) {
    say("router", "failed", problemOf(error).title);
    return notTried(say, 4);
  }
  await Promise.all([checkControl(pkg, answer, say), checkRungs(connections, answer, say, signal)]);
}

async function checkControl(pkg: Package, answer: JoinAnswer, say: Say): Promise<void> {
  const took = await knock(answer.control_url);
  const { host } = new URL(answer.control_url);
  if (took !== null) return say("control", "ok", `${host}: ${took} ms`);
  for (const detour of controlThrough(pkg, answer.control_url)) {
    const around = await knock(detour);
    const via = new URL(detour).host;
    if (around !== null) return say("control", "warning", `${host}: no answer; gateway ${via}: ${around} ms`);
  }
  say("control", "failed", `${host}: no answer`);
}

/** Opens a WebSocket and says nothing on it; how long that took in ms, null if it did not open. */
function knock(url: string): Promise<number | null> {
  const began = performance.now();
  const socket = new WebSocket(url);
  return new Promise<number | null>((resolve) => {
    const limit = setTimeout(() => resolve(null), patience.control);
    socket.addEventListener("open", () => resolve(Math.round(performance.now() - began)));
    socket.addEventListener("error", () => resolve(null));
    socket.addEventListener("close", () => clearTimeout(limit));
  }).finally(() => socket.close());
}

/** Lets each media connection try one rung. */
async function checkRungs(connections: Connections, answer: JoinAnswer, say: Say, signal: AbortSignal): Promise<void> {
  const offered: Record<Transport, boolean> = {
    udp: /^a=candidate:\S+ \d+ udp /im.test(answer.answers.audio ?? ""),
    tcp: /^a=candidate:\S+ \d+ tcp /im.test(answer.answers.audio ?? ""),
    tls: (answer.turn ?? []).length > 0,
  };
  const began = performance.now();
  await connections.accept(answer.answers, answer.turn, rungs);
  const one = async (kind: MediaKind): Promise<Tried> => {
    const rung = rungs[kind];
    if (!offered[rung]) return { rung, ok: false, detail: "the router does not offer it" };
    const up = await connected(connections, kind, signal);
    const took = Math.round(performance.now() - began);
    const { remote } = await countersOf(connections.peers[kind]);
    if (up) return { rung, ok: true, detail: `${remote}: ${took} ms` };
    return { rung, ok: false, detail: `no answer within ${patience.rung / 1000} s` };
  };
  const tried = await Promise.all(mediaKinds.map(one));
  for (const { name, verdict, detail } of judgeRungs(tried)) say(name, verdict, detail);
  connections.close();
}

async function connected(connections: Connections, kind: MediaKind, signal: AbortSignal): Promise<boolean> {
  let stop = () => {};
  const outcome = new Promise<boolean>((resolve) => {
    const look = () => {
      const state = connections.states.get()[kind];
      if (state === "connected" || state === "failed") resolve(state === "connected");
    };
    stop = connections.states.subscribe(look);
    look();
  });
  const late = pause(patience.rung, signal).then(() => false);
  return Promise.race([outcome, late]).finally(() => stop());
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
