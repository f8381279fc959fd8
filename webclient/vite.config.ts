// The production build: hashed files under assets/, compressed copies beside
// them, written to where the Go binary embeds its site.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";
import { site } from "./build/site.ts";

const outDir = fileURLToPath(new URL("../internal/web/site/dist", import.meta.url));

export default defineConfig({
  plugins: [solid(), site({ outDir, scriptBudget: 150_000 })],
  build: {
    outDir,
    emptyOutDir: false, // build/site.ts empties it, and keeps .gitkeep
    target: "es2022",
    modulePreload: { polyfill: false }, // it would be inline script on old browsers
    assetsInlineLimit: 0,
    sourcemap: false,
  },
});
