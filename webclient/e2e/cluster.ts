// A zone with two routers or more: web, a controller and the routers, each a
// process of its own, so that a test can kill, freeze or drain one of them.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Meeting } from "../src/protocol/messages.ts";
import { freePort } from "./ports.ts";

const run = promisify(execFile);

/** What a cluster is made of. */
export interface Shape {
  /** How many routers there are: m1, m2 and so on. */
  routers: number;
  /** How many people each takes. */
  participants: number;
}

/** Owns the processes. End it with close. */
export class Cluster {
  readonly #binary: string;
  readonly #routers: string[];
  readonly #participants: number;
  readonly #dir = mkdtempSync(join(tmpdir(), "causeway-cluster-"));
  readonly #ports = new Map<string, number>();
  readonly #processes = new Map<string, ChildProcess>();
  readonly #log: string[] = [];

  private constructor(binary: string, { routers, participants }: Shape) {
    this.#binary = binary;
    this.#routers = Array.from({ length: routers }, (_, i) => `m${i + 1}`);
    this.#participants = participants;
  }

  /** Starts everything and waits until a meeting can be joined on any router. */
  static async start(binary: string, shape: Partial<Shape> = {}): Promise<Cluster> {
    const cluster = new Cluster(binary, { routers: 2, participants: 1000, ...shape });
    try {
      await cluster.#configure();
      for (const name of ["web", "zc", ...cluster.#routers]) await cluster.#start(name);
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#ports.get("web")}`;
  }

  /** What the processes complained of. */
  get log(): string {
    return this.#log.join("\n");
  }

  /** Creates a meeting, as soon as the zone is offered. */
  async createMeeting(topic: string): Promise<Meeting> {
    const { stdout } = await run(
      "curl",
      ["-sS", "--fail-with-body", "--cacert", this.#file("tls.pem"), "-H", "Content-Type: application/json"].concat(
        ["-d", JSON.stringify({ topic })],
        [`${this.url}/api/v1/meetings`],
      ),
    );
    return JSON.parse(stdout) as Meeting;
  }

  /** The router that has a control channel's address. */
  routerAt(controlURL: string): string {
    const found = this.#routers.find((name) => controlURL.includes(`:${this.#ports.get(name)}/`));
    if (!found) throw new Error(`no router has the address ${controlURL || "(none)"}`);
    return found;
  }

  /** Ends a router without a word. */
  kill(name: string): void {
    this.#processes.get(name)?.kill("SIGKILL");
  }

  /** Stops a router's processor, and lets it go on. */
  freeze(name: string, frozen: boolean): void {
    this.#processes.get(name)?.kill(frozen ? "SIGSTOP" : "SIGCONT");
  }

  /** Asks a router to go, as a service manager would; resolves with its status when it has ended. */
  async drain(name: string): Promise<number | null> {
    const child = this.#processes.get(name);
    if (!child) throw new Error(`${name} does not run`);
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
    return child.exitCode;
  }

  /** Starts routers that have ended anew, and lets frozen ones go on. */
  async heal(): Promise<void> {
    for (const name of this.#routers) {
      const child = this.#processes.get(name);
      child?.kill("SIGCONT");
      if (!child || child.exitCode !== null || child.signalCode !== null) await this.#start(name);
    }
  }

  async close(): Promise<void> {
    const ended = [...this.#processes.values()]
      .filter((child) => child.exitCode === null && child.signalCode === null)
      .map((child) => {
        const exit = once(child, "exit");
        child.kill("SIGKILL");
        return exit;
      });
    await Promise.all(ended);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #file(name: string): string {
    return join(this.#dir, name);
  }

  async #configure(): Promise<void> {
    for (const name of ["web", "zc", ...this.#routers, ...this.#routers.map((m) => `${m}-media`)])
      this.#ports.set(name, await freePort());
    const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    const [cert, key] = [this.#file("tls.pem"), this.#file("tls.key")];
    const kind =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext";
    await run("openssl", [...kind.split(" "), names, "-keyout", key, "-out", cert]);
    const at = (name: string) => `127.0.0.1:${this.#ports.get(name)}`;
    const common = (server: string, name: string) => ({
      server,
      listen: at(name),
      admin: "",
      tls: { cert, key },
      log: { level: "warn" },
    });
    // A server keeps its identity in a folder, and gets it for a token that is made in web's database.
    const identity = async (name: string, role: string) => {
      const args = [
        "token",
        "create",
        "--zone",
        "taipei",
        "--role",
        role,
        "--config",
        this.#file("web.yaml"),
        "--json",
      ];
      const { stdout } = await run(this.#binary, args);
      return { data: this.#file(`data-${name}`), enroll: (JSON.parse(stdout) as { token: string }).token };
    };
    const write = (name: string, config: object) =>
      writeFileSync(this.#file(`${name}.yaml`), JSON.stringify(config), { mode: 0o600 });
    write("web", {
      ...common("web", "web"),
      database: `sqlite:${this.#file("web.db")}`,
      bus: { ca: cert },
      web: { public_url: this.url, creation: "anyone" },
    });
    await run(this.#binary, ["zone", "add", "taipei", "--config", this.#file("web.yaml")]);
    write("zc", {
      ...common("zone", "zc"),
      ...(await identity("zc", "controller")),
      bus: { ca: cert, hubs: [at("web")] },
      zone: { id: "zc", zone: "taipei", name: "Taipei", url: `https://${at("zc")}` },
    });
    for (const name of this.#routers)
      write(name, {
        ...common("mmr", name),
        ...(await identity(name, "mmr")),
        bus: { ca: cert, controllers: [at("zc")] },
        mmr: {
          id: name,
          zone: "taipei",
          control_url: `wss://${at(name)}/mmr/v1/control`,
          media_listen: at(`${name}-media`),
          public_addresses: ["127.0.0.1"],
          limits: { participants: this.#participants },
        },
      });
  }

  async #start(name: string): Promise<void> {
    const server = name === "zc" ? "zone" : name === "web" ? "web" : "mmr";
    const args = [server, "--config", this.#file(`${name}.yaml`), "--ready-json"];
    const child = spawn(this.#binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#processes.set(name, child);
    createInterface({ input: child.stderr }).on("line", (line) => this.#log.push(`${name}: ${line}`));
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`${name} ended with ${code}:\n${this.log}`)));
      createInterface({ input: child.stdout }).on("line", (line) => {
        if ((JSON.parse(line) as { ready?: boolean }).ready) resolve();
      });
    });
  }
}
