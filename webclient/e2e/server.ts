// Starts the binary under test on free ports, in a folder of its own, unless
// CAUSEWAY_URL names a running one. A test may ask for a restart.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestProject } from "vitest/node";
import { freePort } from "./ports.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the site is. */
    url: string;
    /** A key of its API; "" when it is not ours. */
    apiKey: string;
    /** GET it to kill the server and start it anew; "" when it is not ours. */
    restart: string;
  }
}

interface Running {
  process: ChildProcess;
  url: string;
  apiKey: string;
}

/** The line that the server prints when it can be joined. */
interface Ready {
  ready: boolean;
  http: string;
  api_key: string;
}

/** Starts the binary and waits for the line that says it is ready. */
async function start(binary: string, args: string[]): Promise<Running> {
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
  const log: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const lines = createInterface({ input: child.stdout });
  const { http: url, api_key: apiKey } = await new Promise<Ready>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${log.join("\n")}`)));
    lines.on("line", (line) => {
      const ready = JSON.parse(line) as Ready;
      if (ready.ready) resolve(ready);
    });
  });
  return { process: child, url, apiKey };
}

async function stop(running: Running, signal: NodeJS.Signals): Promise<void> {
  if (running.process.exitCode !== null) return;
  const ended = once(running.process, "exit");
  running.process.kill(signal);
  await ended;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = process.env.CAUSEWAY_URL;
  if (running) {
    project.provide("url", running.replace(/\/$/, ""));
    project.provide("apiKey", process.env.CAUSEWAY_API_KEY ?? "");
    project.provide("restart", "");
    return async () => {};
  }
  const binary = process.env.CAUSEWAY_BIN;
  if (!binary) throw new Error("Set CAUSEWAY_URL to a running server, or CAUSEWAY_BIN to the binary.");
  const data = mkdtempSync(join(tmpdir(), "causeway-e2e-"));
  const [https, http, media] = [await freePort(), await freePort(), await freePort()];
  const args = ["up", "--json", "--data", data, "--log-level", "warn"];
  args.push("--listen", `127.0.0.1:${https}`, "--http", `localhost:${http}`, "--media-port", String(media));
  let server = await start(binary, args);
  const control = createServer(async (_, response) => {
    await stop(server, "SIGKILL");
    server = await start(binary, args);
    response.end("started");
  }).listen(0, "127.0.0.1");
  await once(control, "listening");
  const address = control.address();
  project.provide("url", server.url);
  project.provide("apiKey", server.apiKey);
  project.provide("restart", `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`);
  return async () => {
    control.close();
    await stop(server, "SIGTERM");
    rmSync(data, { recursive: true, force: true });
  };
}
