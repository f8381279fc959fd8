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
    // Bounds for a machine that is busy with something else; none of them is what is tested.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
