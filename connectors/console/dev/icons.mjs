// Draws public/icon-*.png from public/icon.svg: `node dev/icons.mjs`, once after the icon changes. Needs chromium.
import { readFileSync, writeFileSync } from "node:fs";
import { chromium } from "playwright-core";

const svg = readFileSync(new URL("../public/icon.svg", import.meta.url), "utf8").replace(' rx="96"', "");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" });
for (const size of [192, 512]) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  await page.setContent(`<style>*{margin:0}svg{display:block;width:${size}px}</style>${svg}`);
  writeFileSync(new URL(`../public/icon-${size}.png`, import.meta.url), await page.screenshot());
}
await browser.close();
