/** How the end-to-end tests run: one browser after the other against a gateway that stands already. */
import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

/** The system's Chromium, or the one that `npx playwright install chromium` brought. */
const SYSTEM = "/usr/bin/chromium";
const executablePath = process.env.CHROMIUM ?? (existsSync(SYSTEM) ? SYSTEM : undefined);

export default defineConfig({
  testDir: ".",
  testMatch: "*.e2e.ts",
  // The users of a test are those of the next one, and sign-ups are few for an address.
  workers: 1,
  forbidOnly: true,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: "list",
  outputDir: process.env.TAPELINE_E2E_OUT ?? "./results",
  use: {
    baseURL: process.env.TAPELINE_CONSOLE,
    // Chromium's sandbox refuses to start as root.
    launchOptions: { executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] },
    actionTimeout: 15_000,
    navigationTimeout: 15_000,
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    colorScheme: "dark",
    locale: "en-GB",
    timezoneId: "UTC",
  },
});
