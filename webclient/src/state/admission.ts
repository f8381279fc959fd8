// Phases 1 and 3 as requests: the lookup at web, and the join at a zone
// controller, with the attempts that went before written into the report.
import type { ClientInfo, JoinAnswer, Offers, Package } from "../protocol/messages.ts";
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

/**
 * Asks the controllers for a router, the best first, until one admits the
 * participant (phase 3). The phase goes on until the control channel is open.
 */
export async function admit(
  ranked: readonly ProbeRecord[],
  way: Way,
  token: string,
  offers: Offers,
  client: ClientInfo,
  recorder: Recorder,
  signal: AbortSignal,
): Promise<{ answer: JoinAnswer; phase: Phase }> {
  const phase = recorder.begin("mmr");
  let last: unknown = new ProblemError(problem("no_zone"));
  for (const { controller, zone } of ranked) {
    const began = performance.now();
    const target = way.join(controller.url);
    const attempt = {
      target,
      transport: "https",
      via: way.via,
      zone: zone.id,
      connect_ms: 0,
      tls_ms: 0,
      jitter_ms: 0,
    };
    const took = () => Math.round((performance.now() - began) * 10) / 10;
    try {
      const answer = await request<JoinAnswer>(target, "zones_unreachable", {
        body: { offers, client },
        bearer: token,
        signal,
        timeoutMS: 6000,
      });
      phase.attempt({ ...attempt, rtt_ms: took(), ok: true });
      recorder.admitted(answer);
      return { answer, phase };
    } catch (error) {
      const p = problemOf(error);
      phase.attempt({ ...attempt, rtt_ms: took(), ok: false, error: p.detail ?? p.title });
      last = error;
      if (!worthAnother(error)) break;
    }
  }
  phase.fail(problemOf(last));
  throw last;
}
