// One probe of a zone controller, timed with what a browser has: the resource
// timing of the request, which the controller permits (Timing-Allow-Origin),
// and the clock around the request where it does not.
import type { ProbeAnswer } from "../protocol/messages.ts";

/** What one probe measured, in ms. The parts of the connection are 0 on a warm one. */
export interface ProbeSample {
  rttMS: number;
  dnsMS: number;
  connectMS: number;
  tlsMS: number;
  answer: ProbeAnswer;
}

/** A probe that failed, with the reason in words. */
export class ProbeError extends Error {}

/** Sends one probe to an address. */
export async function timedProbe(url: string, signal: AbortSignal): Promise<ProbeSample> {
  // A name of its own per request, so that its timing can be found again.
  const target = `${url}${url.includes("?") ? "&" : "?"}t=${crypto.randomUUID().slice(0, 8)}`;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(5500)]);
  const began = performance.now();
  let response: Response;
  let answer: ProbeAnswer;
  try {
    response = await fetch(target, { cache: "no-store", credentials: "omit", signal: limit });
    const elapsed = performance.now();
    answer = (await response.json()) as ProbeAnswer;
    if (!response.ok) throw new ProbeError(`HTTP status ${response.status}`);
    return { ...timing(target, elapsed - began), answer };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ProbeError) throw error;
    if (limit.aborted) throw new ProbeError("no answer within 5.5 s");
    if (error instanceof SyntaxError) throw new ProbeError("the answer is not a probe's");
    throw new ProbeError("the connection failed: address unreachable, certificate not trusted, or blocked");
  }
}

function timing(target: string, elapsed: number): Omit<ProbeSample, "answer"> {
  const entry = performance.getEntriesByName(target, "resource")[0] as PerformanceResourceTiming | undefined;
  // The browser keeps 250 entries and drops later ones.
  if (performance.getEntriesByType("resource").length > 200) performance.clearResourceTimings();
  if (!entry || entry.requestStart === 0 || entry.responseStart === 0) {
    return { rttMS: elapsed, dnsMS: 0, connectMS: 0, tlsMS: 0 };
  }
  const tls = entry.secureConnectionStart > 0 ? entry.connectEnd - entry.secureConnectionStart : 0;
  return {
    rttMS: entry.responseStart - entry.requestStart,
    dnsMS: entry.domainLookupEnd - entry.domainLookupStart,
    connectMS: Math.max(0, entry.connectEnd - entry.connectStart - tls),
    tlsMS: tls,
  };
}
