// Ports for servers under test, which have to know theirs before they start. Several runs may go on at once, so ports
// are taken in blocks: who listens on the first port of a block has the others, until the process ends. The Go tests do
// the same (internal/base/porttest). All are outside the range from which the system gives others theirs.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

const host = "127.0.0.1";
const [lowest, blocks, size] = [20_000, 200, 50];

let next = 0;
let end = 0;
const claims: Server[] = []; // open as long as we run

/** Takes a block that nobody has. */
async function claim(): Promise<void> {
  for (;;) {
    const first = lowest + size * Math.floor(Math.random() * blocks);
    const server = await listen(first);
    if (!server) continue;
    server.unref();
    claims.push(server);
    [next, end] = [first + 1, first + size];
    return;
  }
}

async function listen(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port, host);
  return new Promise((resolve) => {
    server.once("listening", () => resolve(server));
    server.once("error", () => resolve(undefined));
  });
}

/** Whether a port is free for TCP and UDP. */
async function free(port: number): Promise<boolean> {
  const server = await listen(port);
  if (!server) return false;
  server.close();
  await once(server, "close");
  const socket = createSocket("udp4");
  const bound = await new Promise<boolean>((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind(port, host, () => resolve(true));
  });
  socket.close();
  return bound;
}

/** A port that is free for TCP and UDP, and that no other run is given. */
export async function freePort(): Promise<number> {
  for (;;) {
    if (next === end) await claim();
    const port = next++;
    if (await free(port)) return port;
  }
}
