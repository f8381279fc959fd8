// The way in as it is known now: the package, the controllers in the order in
// which to ask them, and whether they are reached straight or through the
// gateway. A meeting comes back by it when its router is gone.
import type { JoinAnswer, Offers, Package, Resume } from "../protocol/messages.ts";
import { problemOf } from "../protocol/problems.ts";
import { admit, lookup, targets } from "./admission.ts";
import { clientInfo } from "./client.ts";
import type { Ticket } from "./entry.ts";
import type { MeetingLink } from "./link.ts";
import type { Phase, Recorder } from "./report.ts";
import { verdict } from "./verdict.ts";
import { controlThrough, lastWay, type Way } from "./way.ts";
import { findZones } from "./zones.ts";

/** How long a controller is waited for before the next is asked too: at first, and when there is no time to lose. */
const staggerMS = { first: 1500, resume: 250 };

/** What may fail in phases 1 and 2 while what they said before still holds: web may be down while the zones are up. */
const stillHolds = ["web_unreachable", "internal", "rate_limited", "zones_unreachable", "no_zone"];

/** Holds what phases 1 and 2 found out. */
export class WayIn {
  readonly #link: MeetingLink;
  readonly #recorder: Recorder;
  #package: Package;
  #ranked: Ticket["ranked"];
  #way: Way;
  /** What is reached only through the gateway stays there, whatever a probe says. */
  #isLast = false;

  constructor(ticket: Pick<Ticket, "link" | "pkg" | "ranked" | "way" | "recorder">) {
    this.#link = ticket.link;
    this.#recorder = ticket.recorder;
    this.#package = ticket.pkg;
    this.#ranked = ticket.ranked;
    this.#way = ticket.way;
  }

  /** The token with which to come back as the same participant. */
  get token(): string {
    return this.#package.token;
  }

  /** What an attempt goes by, for the report. */
  get via(): string {
    return this.#way.via;
  }

  /** Asks for a router (phase 3). */
  admit(
    offers: Offers,
    resume: Resume | null,
    recorder: Recorder,
    signal: AbortSignal,
  ): Promise<{ answer: JoinAnswer; phase: Phase }> {
    return admit(targets(this.#ranked, this.#package), {
      request: { offers, client: clientInfo(), ...(resume ? { resume } : {}) },
      token: this.token,
      way: this.#way,
      recorder,
      signal,
      staggerMS: resume ? staggerMS.resume : staggerMS.first,
    });
  }

  /** Phases 1 and 2 anew, as the same participant, who comes from a zone. */
  async again(zone: string, scratch: Recorder, signal: AbortSignal): Promise<void> {
    const { name } = this.#package.participant;
    try {
      const person = { name, client: clientInfo(), token: this.token };
      this.#package = await lookup(this.#link, person, scratch, signal);
      const found = await findZones(this.#package, zone, signal);
      this.#ranked = found.ranked;
      this.#recorder.event(verdict(found.ranked, zone));
      if (this.#isLast) return;
      this.#way = found.way;
      this.#recorder.route(found.way.route);
    } catch (error) {
      if (!stillHolds.includes(problemOf(error).code)) throw error;
    }
  }

  /** Goes through the gateway from now on, if there is one. */
  takeLast(why: string): void {
    const last = lastWay(this.#package);
    if (!last || this.#way.route === last.route) return;
    this.#way = last;
    this.#isLast = true;
    this.#recorder.route(last.route);
    this.#recorder.event(`${why}: through the ${last.via} from now on`);
  }

  /** Other addresses of a control channel, should the router's own be out of reach. */
  detours(controlURL: string): readonly string[] {
    return controlThrough(this.#package, controlURL);
  }
}
