/** Build of the console: hashed files under /assets, a service worker that knows their names, nothing inline. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";
import { mockGateway } from "./dev/mock";

const gateway = process.env.TAPELINE_GATEWAY;
const PUBLIC = ["/manifest.webmanifest", "/icon.svg", "/icon-192.png", "/icon-512.png"];

/** Writes `sw.js` with the names of all files of the shell; its version is a hash of what they hold. */
function serviceWorker(): Plugin {
  return {
    name: "tapeline-service-worker",
    apply: "build",
    generateBundle(_options, bundle) {
      const hash = createHash("sha256");
      const names = Object.keys(bundle).sort();
      for (const name of names) {
        const part = bundle[name];
        hash.update(name).update(part?.type === "chunk" ? part.code : (part?.source ?? ""));
      }
      for (const path of PUBLIC) hash.update(readFileSync(new URL(`public${path}`, import.meta.url)));
      const source = readFileSync(new URL("src/sw.js", import.meta.url), "utf8");
      hash.update(source);
      const files = ["/", ...names.filter((name) => name.startsWith("assets/")).map((name) => `/${name}`), ...PUBLIC];
      this.emitFile({
        type: "asset",
        fileName: "sw.js",
        source: source
          .replace("__VERSION__", hash.digest("hex").slice(0, 16))
          .replace("__FILES__", JSON.stringify(files)),
      });
    },
  };
}

export default defineConfig({
  plugins: [serviceWorker(), ...(gateway ? [] : [mockGateway()])],
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: gateway ? { proxy: { "/v1": { target: gateway, ws: true } } } : {},
  test: { include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
