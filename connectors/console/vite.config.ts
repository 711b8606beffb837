/** Build of the console: hashed files under /assets, a service worker that knows their names, nothing inline. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const gateway = process.env.TAPELINE_GATEWAY;
const PUBLIC = ["/manifest.webmanifest", "/icon.svg", "/icon-192.png", "/icon-512.png"];

/** Writes `sw.js` with the names of all files of the shell; its version is a hash of what they hold. */
function serviceWorker(): Plugin {
  return {
    name: "tapeline-service-worker",
    apply: "build",
    // After Vite has made index.html, which is of the shell too.
    enforce: "post",
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

export default defineConfig(async ({ command }) => ({
  // `npm run dev` and `npm run preview` talk to TAPELINE_GATEWAY, or to a small stand-in where none is named.
  plugins: [
    serviceWorker(),
    ...(command === "serve" && !gateway && !process.env.VITEST ? [(await import("./dev/mock")).mockGateway()] : []),
  ],
  esbuild: { jsx: "automatic" as const, jsxImportSource: "preact" },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  server: gateway ? { proxy: { "/v1": { target: gateway, ws: true } } } : {},
  test: { include: ["src/**/*.test.ts"] },
}));
