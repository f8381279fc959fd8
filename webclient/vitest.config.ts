import solid from "vite-plugin-solid";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [solid()],
  test: { include: ["src/**/*.test.ts", "build/**/*.test.ts"], environment: "node" },
});
