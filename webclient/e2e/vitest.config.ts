// End to end: real Chromium pages against a running Causeway. Set
// CAUSEWAY_URL to the address of one, or CAUSEWAY_BIN to a binary to start.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  test: {
    include: ["*.e2e.ts"],
    globalSetup: "./server.ts",
    fileParallelism: false,
    testTimeout: 45_000,
    hookTimeout: 45_000,
  },
});
