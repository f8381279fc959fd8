// Hands and eyes for the tests: people in browsers.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect, inject } from "vitest";
import type { FromRouter, Meeting, MeetingKind, SlotState, SlotSync, Source } from "../src/protocol/messages.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How long anything may take, in ms, on a machine that is busy with something else. */
export const patience = 60_000;

/** Starts the browser, with a camera and a microphone that are made up. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--auto-select-desktop-capture-source=Entire screen",
      "--autoplay-policy=no-user-gesture-required",
      "--allow-loopback-in-peer-connection",
      "--disable-background-networking",
      "--disable-renderer-backgrounding",
      "--disable-backgrounding-occluded-windows",
    ],
  });
}

/** Creates a meeting as a program would. */
export async function createMeeting(topic: string, kind: MeetingKind = "meeting"): Promise<Meeting> {
  const response = await fetch(`${inject("url")}/api/v1/meetings`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ topic, kind }),
  });
  if (!response.ok) throw new Error(`create a meeting: ${response.status} ${await response.text()}`);
  return (await response.json()) as Meeting;
}

/** Puts a link on the address under test, whatever name the server gives itself. */
export function here(link: string, site = inject("url")): string {
  const url = new URL(link);
  return `${site}${url.pathname}${url.search}`;
}

/** What a person's browser has decoded and played. */
export interface Seen {
  /** Frames decoded on the video connection. */
  frames: number;
  /** Frames decoded on the content connection. */
  screenFrames: number;
  /** Energy of the sound received (getStats totalAudioEnergy). */
  energy: number;
  audioPackets: number;
}

/** What the tests keep in each page. */
interface Watched {
  peers: RTCPeerConnection[];
  /** Has connections of a page or a frame known. */
  watch: (Peer: typeof RTCPeerConnection) => typeof RTCPeerConnection;
  sockets: WebSocket[];
  /** The router's UDP addresses are kept from the browser. */
  noUDP?: boolean;
  /** Control channels go nowhere but through the gateway. */
  noControl?: boolean;
  /** The share of sent packets that the browser is told were lost. */
  loss?: number;
  /** Whatever plays, or did. */
  players: HTMLMediaElement[];
  syncs: Record<string, SlotSync>;
  /** Names by participant, and what the slots carry, as the router told. */
  names: Record<string, string>;
  slots: Record<string, SlotState>;
  /** The slot that carries a person's source, "" if none does. */
  slotOf: (name: string, source: string) => string;
  /** The receivers of a kind's slots in their order, without those for a shared screen. */
  receivers: (kind: "audio" | "video") => RTCRtpReceiver[];
}

/** One person in a browser window. */
export class Person {
  readonly page: Page;
  /** Whatever the console said that it should not. */
  readonly complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(`uncaught: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(message.text());
    });
  }

  /** Opens a window with a profile of its own. */
  static async arrive(browser: Browser, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-US", ...options });
    context.setDefaultTimeout(patience);
    await context.addInitScript(watchConnections);
    return new Person(await context.newPage());
  }

  /** Goes through the lobby into the room. */
  async join(link: string, name: string, site?: string): Promise<void> {
    await this.page.goto(here(link, site));
    await this.page.getByLabel(/Your name|您的名稱/).fill(name);
    await this.page.locator(".way-ready").waitFor();
    await this.page.getByRole("button", { name: /Join now|立即加入/ }).click();
    await this.inRoom();
  }

  /** Waits until the router has welcomed this person. */
  async inRoom(): Promise<void> {
    await this.page.locator("#controls").waitFor();
    await this.page.locator("[data-tile]").first().waitFor();
  }

  button(name: string | RegExp) {
    return this.page.getByRole("button", { name, exact: typeof name === "string" });
  }

  /** The tile of a person, told by its words. */
  tile(words: RegExp) {
    return this.page.getByRole("button", { name: words });
  }

  /** Waits for something to be said to screen readers. */
  async hears(words: RegExp): Promise<void> {
    await this.page.locator("[role=log] p", { hasText: words }).first().waitFor({ state: "attached" });
  }

  seen(): Promise<Seen> {
    return this.page.evaluate(async () => {
      const peers = (globalThis as unknown as { peers: RTCPeerConnection[] }).peers;
      const sum = { frames: 0, screenFrames: 0, energy: 0, audioPackets: 0 };
      for (const peer of peers.filter((p) => p.connectionState === "connected")) {
        const content =
          peer.getTransceivers().length === 4 &&
          peer.getTransceivers()[0]?.sender.track?.kind !== "audio" &&
          peer.getTransceivers()[1]?.receiver.track.kind === "audio" &&
          peer.getTransceivers()[0]?.receiver.track.kind === "video";
        for (const stat of (await peer.getStats()).values()) {
          if (stat.type !== "inbound-rtp") continue;
          if (content) sum.screenFrames += stat.framesDecoded ?? 0;
          else sum.frames += stat.framesDecoded ?? 0;
          sum.energy += stat.totalAudioEnergy ?? 0;
          if (stat.kind === "audio") sum.audioPackets += stat.packetsReceived ?? 0;
        }
      }
      return sum;
    });
  }

  /** How many media connections the page has made so far. */
  peersMade(): Promise<number> {
    return this.page.evaluate(() => (globalThis as unknown as Watched).peers.length);
  }

  /** The page's own media ports in use, and by what protocol: "udp 50123". */
  ports(): Promise<string[]> {
    return this.page.evaluate(async () => {
      const out: string[] = [];
      for (const peer of (globalThis as unknown as Watched).peers) {
        if (peer.connectionState !== "connected") continue;
        const all = new Map<string, Record<string, string>>();
        (await peer.getStats()).forEach((stat) => {
          all.set(stat.id, stat);
        });
        for (const transport of all.values()) {
          if (transport.type !== "transport") continue;
          const local = all.get(all.get(transport.selectedCandidatePairId ?? "")?.localCandidateId ?? "");
          out.push(`${local?.relayProtocol ?? local?.protocol} ${local?.port}`);
        }
      }
      return out;
    });
  }

  /** What the report tells of what happened. */
  async events(): Promise<string[]> {
    await this.page.keyboard.press("i");
    await this.page.locator(".events li").first().waitFor();
    const all = await this.page.locator(".events li").allTextContents();
    await this.page.keyboard.press("Escape");
    return all;
  }

  /** Has the browser find no UDP at the router from now on, or find it again. */
  async blockUDP(blocked: boolean): Promise<void> {
    await this.page.evaluate((now) => {
      (globalThis as unknown as Watched).noUDP = now;
    }, blocked);
  }

  /** Has the browser told that a share of what it sends is lost. */
  async loses(share: number): Promise<void> {
    await this.page.evaluate((now) => {
      (globalThis as unknown as Watched).loss = now;
    }, share);
  }

  /** How many bytes a packet of the microphone has, over some seconds. */
  async perPacket(): Promise<number> {
    const [bytes, packets] = await this.page.evaluate(async () => {
      const scope = globalThis as unknown as Watched;
      const sender = scope.peers.find((p) => p.connectionState === "connected")?.getSenders()[0];
      const sent = async () => {
        for (const stat of (await sender?.getStats())?.values() ?? [])
          if (stat.type === "outbound-rtp") return [stat.bytesSent ?? 0, stat.packetsSent ?? 0] as const;
        return [0, 0] as const;
      };
      const before = await sent();
      await new Promise((resolve) => setTimeout(resolve, 4000));
      const after = await sent();
      return [after[0] - before[0], after[1] - before[1]] as const;
    });
    return bytes / packets;
  }

  /** Lets no control channel through to a router's own address from now on. */
  async blockControl(): Promise<void> {
    await this.page.evaluate(() => {
      (globalThis as unknown as Watched).noControl = true;
    });
  }

  /** Tells the page what the browser tells when the network has changed. */
  async changeNetwork(): Promise<void> {
    await this.page.evaluate(() => dispatchEvent(new Event("online")));
  }

  /** The address of the control channel in use. */
  controlURL(): Promise<string> {
    return this.page.evaluate(() => {
      const open = (globalThis as unknown as Watched).sockets.filter((s) => s.readyState === WebSocket.OPEN);
      return open.at(-1)?.url ?? "";
    });
  }

  /** Breaks the control channel, as a network would. */
  async breakControl(): Promise<void> {
    await this.page.evaluate(() => {
      const { sockets } = globalThis as unknown as Watched;
      sockets.at(-1)?.close();
    });
  }

  /** Waits until there is a control channel that works. */
  async controlled(): Promise<void> {
    const open = () => {
      const last = (globalThis as unknown as Watched).sockets.at(-1);
      return last?.readyState === WebSocket.OPEN && (last as WebSocket & { welcomed?: boolean }).welcomed === true;
    };
    await this.page.waitForFunction(open, undefined, { timeout: patience });
  }

  /** Waits until something seen has grown past what it was at the call. */
  async grows(what: keyof Seen, by: number): Promise<void> {
    const before = (await this.seen())[what];
    await expect
      .poll(async () => (await this.seen())[what], { timeout: patience, interval: 100 })
      .toBeGreaterThan(before + by);
  }

  /** Waits until a person's slot has decoded so many frames, or played so much energy, more than at the call. */
  async receives(name: string, source: Source, more: number): Promise<void> {
    const now = () =>
      this.page.evaluate(
        async ([who, what]) => {
          const scope = globalThis as unknown as Watched;
          const slot = scope.slotOf(who as string, what as string);
          const receiver = scope.receivers(what === "mic" ? "audio" : "video")[Number(slot.slice(1)) - 1];
          for (const stat of (await receiver?.getStats())?.values() ?? [])
            if (stat.type === "inbound-rtp")
              return Number((what === "mic" ? stat.totalAudioEnergy : stat.framesDecoded) ?? 0);
          return 0;
        },
        [name, source],
      );
    const before = await now();
    await expect
      .poll(now, { timeout: patience, interval: 200, message: `${name}'s ${source}` })
      .toBeGreaterThan(before + more);
  }

  /** Waits until a person's camera is shown with so many lines. */
  async shows(name: string, height: number): Promise<void> {
    const now = () =>
      this.page.evaluate(async (who) => {
        const scope = globalThis as unknown as Watched;
        const receiver = scope.receivers("video")[Number(scope.slotOf(who, "camera").slice(1)) - 1];
        for (const stat of (await receiver?.getStats())?.values() ?? [])
          if (stat.type === "inbound-rtp") return Number(stat.frameHeight ?? 0);
        return 0;
      }, name);
    await expect.poll(now, { timeout: patience, interval: 100, message: `${name}'s lines` }).toBe(height);
  }

  /** In which codec a person's camera comes, "video/VP8". */
  codec(name: string): Promise<string> {
    return this.page.evaluate(async (who) => {
      const scope = globalThis as unknown as Watched;
      const receiver = scope.receivers("video")[Number(scope.slotOf(who, "camera").slice(1)) - 1];
      const stats = await receiver?.getStats();
      for (const stat of stats?.values() ?? [])
        if (stat.type === "inbound-rtp") return String((stats as RTCStatsReport).get(stat.codecId)?.mimeType ?? "");
      return "";
    }, name);
  }

  /** Has the browser not know a codec, from before the page is loaded. */
  async lacks(codec: string): Promise<void> {
    await this.page.addInitScript((name) => {
      const known = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
      RTCRtpReceiver.getCapabilities = (kind) => {
        const all = known(kind);
        return all && { ...all, codecs: all.codecs.filter((c) => c.mimeType !== `video/${name}`) };
      };
    }, codec);
  }

  /** Which layers of a source this person's browser sends, in the order of the offer. */
  sends(source: "mic" | "camera"): Promise<boolean[]> {
    return this.page.evaluate((what) => {
      const scope = globalThis as unknown as Watched;
      const senders = scope.peers.filter((p) => p.connectionState === "connected").map((p) => p.getSenders()[0]);
      const sender = senders[what === "mic" ? 0 : 1];
      return sender?.getParameters().encodings.map((e) => e.active ?? true) ?? [];
    }, source);
  }

  /** In which mode this person's browser is to send the camera in a scalable codec. */
  mode(): Promise<string> {
    return this.page.evaluate(() => {
      const scope = globalThis as unknown as Watched;
      const video = scope.peers.filter((p) => p.connectionState === "connected")[1];
      const [encoding] =
        video
          ?.getSenders()
          .filter((s) => s.track)[1]
          ?.getParameters().encodings ?? [];
      return encoding?.active ? String((encoding as { scalabilityMode?: string }).scalabilityMode) : "";
    });
  }

  /**
   * How much later than its sound the picture of the only other person is
   * played, in ms, reckoned from what the receivers played and what the router
   * said of its clock. NaN when that is not known yet.
   */
  skew(): Promise<number> {
    return this.page.evaluate(() => {
      const { peers, syncs } = globalThis as unknown as Watched;
      const live = peers.filter((p) => p.connectionState === "connected");
      const delay = (kind: string, slot: string): number => {
        const [first] = live
          .flatMap((p) => p.getTransceivers())
          .filter((t) => t.direction === "recvonly" && t.receiver.track.kind === kind)
          .map((t) => t.receiver.getSynchronizationSources()[0]);
        const sync = syncs[slot];
        if (!first || !sync) return Number.NaN;
        return first.timestamp - (sync.at_ms + (((first.rtpTimestamp - sync.rtp) | 0) * 1000) / sync.clock_rate);
      };
      return delay("video", "v1") - delay("audio", "a1");
    });
  }

  /** Checks the page with axe: no violation of WCAG 2 A and AA. */
  async accessible(): Promise<void> {
    await this.page.evaluate(axe);
    const violations = await this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run: (o: object) => Promise<{ violations: Violation[] }> } };
      interface Violation {
        id: string;
        help: string;
        nodes: { html: string; failureSummary: string }[];
      }
      const found = await axe.run({
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      });
      return found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(" | ")}`);
    });
    expect(violations).toEqual([]);
  }

  /** Closes the window; the console must have been quiet. */
  async leave(): Promise<void> {
    await this.page.context().close();
    expect(this.complaints).toEqual([]);
  }
}

/** Runs in the page before its scripts: keeps what the tests look at. */
function watchConnections(): void {
  const scope = globalThis.top as unknown as Watched;
  if (globalThis.self !== globalThis.top) {
    globalThis.RTCPeerConnection = scope.watch(globalThis.RTCPeerConnection);
    return;
  }
  scope.peers = [];
  scope.sockets = [];
  scope.syncs = {};
  scope.names = {};
  scope.slots = {};
  scope.slotOf = (name, source) =>
    Object.values(scope.slots).find((s) => s.source === source && scope.names[s.participant ?? ""] === name)?.slot ??
    "";
  // The content connection receives one of either kind, the others more.
  scope.receivers = (kind) =>
    scope.peers
      .filter((p) => p.connectionState === "connected")
      .map((p) => p.getTransceivers().filter((t) => t.direction === "recvonly" && t.receiver.track.kind === kind))
      .find((found) => found.length > 1)
      ?.map((t) => t.receiver) ?? [];
  scope.watch = (Peer) =>
    class extends Peer {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        scope.peers.push(this);
      }
      override async getStats(selector?: MediaStreamTrack | null): Promise<RTCStatsReport> {
        const stats = await super.getStats(selector);
        if (!scope.loss) return stats;
        const told = new Map<string, Record<string, unknown>>();
        for (const [id, stat] of stats.entries()) {
          const lost = Math.round((scope.loss ?? 0) * (stats.get(stat.localId)?.packetsSent ?? 0));
          told.set(id, stat.type === "remote-inbound-rtp" ? { ...stat, packetsLost: lost } : stat);
        }
        return told as unknown as RTCStatsReport;
      }
      override setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
        const sdp = scope.noUDP ? description.sdp?.replace(/^a=candidate:\S+ \d+ udp .*\r\n/gim, "") : description.sdp;
        return super.setRemoteDescription({ type: description.type, sdp: sdp ?? "" });
      }
    };
  globalThis.RTCPeerConnection = scope.watch(globalThis.RTCPeerConnection);
  scope.players = [];
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function (this: HTMLMediaElement) {
    if (!scope.players.includes(this)) scope.players.push(this);
    return play.call(this);
  };
  const Socket = globalThis.WebSocket;
  globalThis.WebSocket = class extends Socket {
    constructor(url: string | URL) {
      super(scope.noControl && String(url).includes("/mmr/v1/") ? "wss://127.0.0.1:1/blocked" : url);
      scope.sockets.push(this);
      this.addEventListener("message", (event: MessageEvent<string>) => {
        const message = JSON.parse(event.data) as FromRouter;
        if (message.type === "sync") for (const sync of message.slots ?? []) scope.syncs[sync.slot] = sync;
        if (message.type === "welcome") for (const p of message.participants ?? []) scope.names[p.id] = p.name;
        if (message.type === "roster") for (const p of message.changed ?? []) scope.names[p.id] = p.name;
        if (message.type === "welcome") (this as WebSocket & { welcomed?: boolean }).welcomed = true;
        if (message.type === "welcome" || message.type === "slots")
          for (const slot of message.slots ?? []) scope.slots[slot.slot] = slot;
      });
    }
  };
}
