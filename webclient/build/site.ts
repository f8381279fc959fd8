// A Vite plugin for a site that is embedded into a binary: it empties the
// output folder but keeps .gitkeep (so that Go can embed the folder before the
// first build), writes .gz and .br copies for the server to send as they are,
// and fails the build when the first load has grown over its budget.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

interface Options {
  outDir: string;
  /** Most bytes of gzipped script that the first load may take. */
  scriptBudget: number;
}

/** What is worth compressing. */
const compressible = /\.(?:js|css|html|svg|json|webmanifest|txt)$/;

interface Chunk {
  type: "chunk" | "asset";
  fileName: string;
  isEntry?: boolean;
  imports?: string[];
}

/** Lists the chunks that the page loads before anything is clicked. */
export function firstLoad(bundle: Record<string, Chunk>): string[] {
  const seen = new Set<string>();
  const visit = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const next of bundle[name]?.imports ?? []) visit(next);
  };
  for (const chunk of Object.values(bundle)) {
    if (chunk.type === "chunk" && chunk.isEntry) visit(chunk.fileName);
  }
  return [...seen].filter((name) => name in bundle);
}

function empty(dir: string): void {
  mkdirSync(dir, { recursive: true });
  for (const name of readdirSync(dir)) {
    if (name !== ".gitkeep") rmSync(join(dir, name), { recursive: true });
  }
  writeFileSync(join(dir, ".gitkeep"), "");
}

function compress(file: string): void {
  const data = readFileSync(file);
  writeFileSync(`${file}.gz`, gzipSync(data, { level: 9 }));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: data.length };
  writeFileSync(`${file}.br`, brotliCompressSync(data, { params }));
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/** The plugin. */
export function site(options: Options): Plugin {
  let scripts: string[] = [];
  return {
    name: "site",
    apply: "build",
    buildStart() {
      empty(options.outDir);
    },
    writeBundle(_, bundle) {
      scripts = firstLoad(bundle as unknown as Record<string, Chunk>);
    },
    closeBundle() {
      if (scripts.length === 0) return; // the build failed before it wrote anything
      for (const file of filesBelow(options.outDir)) {
        if (compressible.test(file)) compress(file);
      }
      const size = scripts.reduce((sum, name) => sum + readFileSync(join(options.outDir, `${name}.gz`)).length, 0);
      const text = `first load: ${scripts.length} scripts, ${size} bytes gzipped of ${options.scriptBudget}`;
      if (size > options.scriptBudget) this.error(`${text}: over budget; load more of it on demand`);
      this.info(text);
    },
  };
}
