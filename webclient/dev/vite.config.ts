// The stage: the real client in a page whose servers and connections are
// played by dev/fake.ts. For work on the looks, and for screenshots; it is no
// part of the production build. `npm run dev`, then /j/123456789?people=9.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: folder("."),
  publicDir: folder("../public"),
  cacheDir: folder("../node_modules/.vite-stage"),
  plugins: [solid()],
  server: { fs: { allow: [folder("../..")] } },
});
