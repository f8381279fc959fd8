// Phases 1 and 3 as requests: the lookup at web, and the join at a zone
// controller, with the attempts that went before written into the report.
import type { ClientInfo, JoinAnswer, JoinRequest, Package } from "../protocol/messages.ts";
import { ProblemError, problem, problemOf } from "../protocol/problems.ts";
import { request } from "./api.ts";
import type { ProbeRecord } from "./choose.ts";
import type { MeetingLink } from "./link.ts";
import type { Phase, Recorder } from "./report.ts";
import type { Way } from "./way.ts";

/** Who wants to enter, and how. */
export interface Person {
  name: string;
  client: ClientInfo;
  /** An earlier token of the same participant. */
  token?: string;
}

/** Asks web for the package (phase 1). Without a recorder it is not told in the report. */
export async function lookup(
  link: MeetingLink,
  person: Person,
  recorder: Recorder | null,
  signal: AbortSignal,
): Promise<Package> {
  const phase = recorder?.begin("lookup");
  const began = performance.now();
  const attempt = { target: globalThis.location?.origin ?? "", transport: "https", via: "direct" };
  const took = () => ({
    connect_ms: 0,
    tls_ms: 0,
    rtt_ms: Math.round((performance.now() - began) * 10) / 10,
    jitter_ms: 0,
  });
  try {
    const pkg = await request<Package>(`/api/v1/meetings/${link.number}/lookup`, "web_unreachable", {
      body: {
        name: person.name,
        client: person.client,
        ...(link.passcode ? { passcode: link.passcode } : {}),
        ...(link.invitation ? { invitation: link.invitation } : {}),
        ...(person.token ? { token: person.token } : {}),
      },
      signal,
    });
    phase?.attempt({ ...attempt, ...took(), ok: true });
    phase?.done();
    recorder?.participant(pkg.participant.id);
    return { ...pkg, zones: pkg.zones ?? [], tunnels: pkg.tunnels ?? [] };
  } catch (error) {
    const p = problemOf(error);
    phase?.attempt({ ...attempt, ...took(), ok: false, error: p.detail ?? p.title });
    phase?.fail(p);
    throw error;
  }
}

/** Whether another controller might do what this one refused. */
function worthAnother(error: unknown): boolean {
  return ["zones_unreachable", "zone_full", "mmr_unavailable", "internal", "rate_limited", "gateway_failed"].includes(
    problemOf(error).code,
  );
}

/** A controller to ask. */
export type Target = Pick<ProbeRecord, "zone" | "controller">;

/** All controllers to ask: those that were measured, best first, then those of the package that never answered. */
export function targets(ranked: readonly ProbeRecord[], pkg: Package): Target[] {
  const known = new Set(ranked.map((r) => r.controller.url));
  const others = pkg.zones.flatMap((zone) => zone.controllers.map((controller) => ({ zone, controller })));
  return [...ranked, ...others.filter((o) => !known.has(o.controller.url))];
}

/** What is asked for, and how. */
export interface Admission {
  request: JoinRequest;
  token: string;
  way: Way;
  recorder: Recorder;
  signal: AbortSignal;
  /** How long one controller is waited for before the next is asked too, in ms. */
  staggerMS: number;
}

/**
 * Asks the controllers for a router, the best first and each a while after the
 * one before, until one admits the participant (phase 3). A full zone's other
 * controllers are passed over. The phase goes on until the control channel is
 * open.
 */
export async function admit(
  to: readonly Target[],
  admission: Admission,
): Promise<{ answer: JoinAnswer; phase: Phase }> {
  const { recorder, signal } = admission;
  const phase = recorder.begin("mmr");
  const done = new AbortController();
  const life = AbortSignal.any([signal, done.signal]);
  const full = new Set<string>();
  try {
    const answer = await new Promise<JoinAnswer>((resolve, reject) => {
      let [next, waiting] = [0, 0];
      let why: unknown = null; // the first refusal, of the best zone: it says most
      let timer: ReturnType<typeof setTimeout> | undefined;
      const failed = (target: Target, error: unknown) => {
        waiting--;
        if (why === null || problemOf(why).code === "zones_unreachable") why = error;
        if (problemOf(error).code === "zone_full") full.add(target.zone.id);
        if (signal.aborted || !worthAnother(error)) reject(error);
        else go();
      };
      const go = () => {
        clearTimeout(timer);
        while (full.has(to[next]?.zone.id ?? "")) next++;
        const target = to[next++];
        if (!target || life.aborted)
          return waiting === 0 ? reject(why ?? new ProblemError(problem("no_zone"))) : undefined;
        waiting++;
        ask(target, { ...admission, signal: life }, phase).then(resolve, (error) => failed(target, error));
        timer = setTimeout(go, admission.staggerMS);
      };
      done.signal.addEventListener("abort", () => clearTimeout(timer));
      go();
    });
    recorder.admitted(answer);
    return { answer, phase };
  } catch (error) {
    phase.fail(problemOf(error));
    throw error;
  } finally {
    done.abort();
  }
}

/** Asks one controller. */
async function ask({ zone, controller }: Target, admission: Admission, phase: Phase): Promise<JoinAnswer> {
  const { way, token, signal, request: body } = admission;
  const began = performance.now();
  const target = way.join(controller.url);
  const base = { target, transport: "https", via: way.via, zone: zone.id, connect_ms: 0, tls_ms: 0, jitter_ms: 0 };
  const took = () => Math.round((performance.now() - began) * 10) / 10;
  try {
    const answer = await request<JoinAnswer>(target, "zones_unreachable", {
      // What goes to another origin carries the token inside, so that no permission has to be asked for first.
      ...(way.route === "direct" ? { body: { ...body, token }, plain: true } : { body, bearer: token }),
      signal,
      timeoutMS: 6000,
    });
    phase.attempt({ ...base, rtt_ms: took(), ok: true });
    return answer;
  } catch (error) {
    if (!signal.aborted) {
      const p = problemOf(error);
      phase.attempt({ ...base, rtt_ms: took(), ok: false, error: p.detail ?? p.title });
    }
    throw error;
  }
}
