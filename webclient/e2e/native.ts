// The native client as a person of the tests: `causeway join` beside the pages.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Report, Source } from "../src/protocol/messages.ts";

const run = promisify(execFile);

interface Recording {
  file: string;
  name: string;
  source: Source;
  frames: number;
  lost: number;
}

/** What a native client's participation came to. */
export interface Outcome {
  status: number | null;
  report: Report;
  recordings: Recording[];
  log: string;
}

/** A native client that publishes the test card and records everybody. */
export class Native {
  readonly dir = mkdtempSync(join(tmpdir(), "causeway-native-"));
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  #log = "";

  constructor(binary: string, link: string, name: string) {
    const files = ["--record", this.#path("recorded"), "--report", this.#path("report.json")];
    this.#process = spawn(binary, ["join", link, "--name", name, "--publish", "testcard", ...files], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process.stderr?.on("data", (data: Buffer) => {
      this.#log += data;
    });
    this.#ended = once(this.#process, "exit");
  }

  /** Leaves as by Ctrl-C and says what was recorded. */
  async leave(): Promise<Outcome> {
    this.#process.kill("SIGINT");
    await this.#ended;
    const read = (name: string) => JSON.parse(readFileSync(this.#path(name), "utf8"));
    const { recordings } = read("recorded/manifest.json") as { recordings: Recording[] };
    return { status: this.#process.exitCode, report: read("report.json") as Report, recordings, log: this.#log };
  }

  /** Decodes a recording of pictures and counts them. */
  async pictures(file: string): Promise<number> {
    const path = this.#path(`recorded/${file}`);
    const { stdout } = await run("ffmpeg", [..."-v error -nostats -progress - -i".split(" "), path, "-f", "null", "-"]);
    return Number([...stdout.matchAll(/^frame=(\d+)/gm)].at(-1)?.[1] ?? 0);
  }

  /** Decodes a recording of sound and says its loudest sample in dB below full scale: -Infinity is silence. */
  async loudest(file: string): Promise<number> {
    const path = this.#path(`recorded/${file}`);
    const { stderr } = await run("ffmpeg", ["-nostats", "-i", path, "-af", "volumedetect", "-f", "null", "-"]);
    return Number(/max_volume: (\S+) dB/.exec(stderr)?.[1] ?? Number.NEGATIVE_INFINITY);
  }

  /** Ends it, whatever it does, and removes its files. */
  async close(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGKILL");
      await this.#ended;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.dir, name);
  }
}
