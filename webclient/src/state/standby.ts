// A session made ready while the person is in the lobby, so that Join takes one
// message: its media connections and its control channel are up, but the
// meeting does not know of it. It is a shortcut and no more: whatever is wrong
// with it, one joins as if it had never been.
import type { Connections } from "../media/connections.ts";
import { pause } from "../media/value.ts";
import type { JoinAnswer, Offers } from "../protocol/messages.ts";
import { type Admission, admit, type Target } from "./admission.ts";
import { Control } from "./control.ts";
import { watchNetwork } from "./network.ts";
import type { Phase } from "./report.ts";
import { firstSlot } from "./session.ts";

/** How long the control channel may take, and how long somebody who has pressed Join waits for it, in ms. */
const measures = { attach: 5500, patience: 1500 };

/** A session that stands by. Whoever takes it owns it, and the connections that were given. */
export interface Ready {
  answer: JoinAnswer;
  control: Control;
  phase: Phase;
}

/** What is asked for, of one controller. */
export type Wish = Omit<Admission, "request" | "signal" | "staggerMS"> & {
  request: Omit<Admission["request"], "offers">;
};

/** Makes one session ready. End it with close, or by taking it. */
export class Standby {
  /** Resolves when it is of no use, or has been taken. */
  readonly over: Promise<void>;
  /** Whether the connections are no longer as good as new. */
  spent = false;
  /** The servers know no standby. */
  unknown = false;

  readonly #connections: Connections;
  readonly #life = new AbortController();
  readonly #made: Promise<Ready | null>;
  #control: Control | null = null;

  constructor(connections: Connections, offers: Promise<Offers>, target: Target, wish: Wish) {
    this.#connections = connections;
    const { signal } = this.#life;
    this.over = new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
    this.#made = this.#make(offers, target, wish).catch(() => null);
    void this.#made.then((made) => (made ? made.control.ended : null)).then(() => this.#life.abort());
    watchNetwork(() => this.#life.abort(), signal);
    const stop = connections.states.subscribe(() => this.#failed() && this.#life.abort());
    signal.addEventListener("abort", stop);
  }

  /** Hands the session over; null if it is of no use now, or would take longer than to join. */
  async take(): Promise<Ready | null> {
    if (!this.spent) this.#life.abort();
    const late = pause(measures.patience, this.#life.signal).then(
      () => null,
      () => null,
    );
    const ready = await Promise.race([this.#made, late]);
    const good = ready !== null && !this.#life.signal.aborted && !ready.control.doubtful && !this.#failed();
    if (!good) this.close();
    else this.#control = null;
    this.#life.abort();
    return good ? ready : null;
  }

  /** Says that it seems to be taken soon. */
  soon(): void {
    this.#control?.send({ type: "soon" });
  }

  close(): void {
    this.#life.abort();
    this.#control?.close();
  }

  async #make(offers: Promise<Offers>, target: Target, wish: Wish): Promise<Ready> {
    const { signal } = this.#life;
    const { token, way } = wish;
    const request = { ...wish.request, offers: await offers, standby: true };
    const { answer, phase } = await admit([target], { ...wish, request, signal, staggerMS: measures.attach });
    this.unknown = !answer.standby; // such a server would have let us in
    if (this.unknown || signal.aborted) throw new Error("not on standby");
    this.spent = true;
    const began = performance.now();
    this.#connections.expect(firstSlot);
    const media = this.#connections.accept(answer.answers, answer.turn);
    media.catch(() => this.#life.abort());
    const url = answer.control_url;
    this.#control = await Control.standBy(url, { session: answer.session, token }, signal, measures.attach);
    const took = { connect_ms: Math.round(performance.now() - began), tls_ms: 0, rtt_ms: 0, jitter_ms: 0 };
    phase.attempt({ target: url, transport: "wss", via: way.via, ...took, ok: true });
    phase.done();
    return { answer, control: this.#control, phase };
  }

  #failed(): boolean {
    return Object.values(this.#connections.states.get()).some((s) => s === "failed" || s === "disconnected");
  }
}
