// Walks through the console in chromium, takes pictures of every page in both themes and two widths, and runs axe on
// each: `npm run build && npm run look`. Fails on a serious axe finding, an error in the browser's console, or a step
// that does not come about. The pictures go to dev/shots, which git ignores. The
// build is served with the stand-in gateway, whose instruments the steps name.
import { mkdirSync } from "node:fs";
import axe from "axe-core";
import { chromium } from "@playwright/test";
import { preview } from "vite";

const server = await preview({ preview: { port: 4179, host: "localhost" } });
const base = "http://localhost:4179";
const shots = new URL("./shots/", import.meta.url).pathname;
mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const findings = [];

async function open(theme, width, height, more = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(8_000);
  page.on("console", (message) => {
    const expected = /401|Failed to load resource|ERR_CONNECTION_REFUSED/.test(message.text());
    if (message.type() === "error" && !expected) findings.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => findings.push(`page error: ${error.message}`));
  page.on("dialog", (dialog) => {
    findings.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return page;
}

async function look(page, name) {
  await page.screenshot({ path: `${shots}${name}.png` });
  // Playwright evaluates past the page's CSP.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, nodes } of violations) {
    const where = nodes
      .slice(0, 3)
      .map((node) => `${node.target.join(" ")} ${node.failureSummary?.split("\n")[1] ?? ""}`);
    const line = `axe ${name}: ${impact} ${id}: ${where.join(" | ")}`;
    if (impact === "serious" || impact === "critical") findings.push(line);
    else console.log(line);
  }
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (over > 0) findings.push(`${name}: ${over} px wider than the screen`);
}

const test = (page, id) => page.getByTestId(id);
const until = (page, id, text) => test(page, id).filter({ hasText: text }).first().waitFor();

async function signUp(page, login) {
  await page.goto(`${base}/sign-up`);
  await test(page, "login").fill(login);
  await test(page, "password").fill("correct horse");
  await test(page, "sign-up").click();
  await test(page, "account-link").waitFor();
}

async function place(page, { side, type = "limit", quantity, price }) {
  await test(page, `side-${side}`).check({ force: true });
  await test(page, `type-${type}`).check({ force: true });
  await test(page, "quantity").fill(quantity);
  if (price) await test(page, "price").fill(price);
  await test(page, "send-order").click();
}

async function trade(page) {
  await page.goto(`${base}/trade/ABC-USD`);
  await test(page, "level-buy").first().waitFor();
  await test(page, "deposit-asset").selectOption("USD");
  await test(page, "deposit-amount").fill("100000");
  await test(page, "deposit-send").click();
  await until(page, "notice-good", "deposit");
  await until(page, "balance-available", "100,000");
  await place(page, { side: "buy", quantity: "5", price: "18" });
  await page.locator('[data-testid="order-row"][data-status="pending"]').waitFor();
  await page.locator('[data-testid="order-row"][data-status="open"]').waitFor();
  await test(page, "amend-order").click();
  await test(page, "amend-quantity").fill("7");
  await test(page, "amend-quantity").press("Enter");
  await until(page, "order-quantity", "7");
  await place(page, { side: "buy", type: "market", quantity: "10" });
  await until(page, "notice-good", "Filled");
  // More than the account has: the form warns, the exchange refuses.
  await place(page, { side: "sell", quantity: "60", price: "21" });
  await until(page, "order-sentence", "You do not have enough available");
  await place(page, { side: "sell", quantity: "3", price: "21.5" });
  await place(page, { side: "buy", quantity: "2", price: "17.5" });
  await page.locator('[data-testid="order-row"][data-status="open"]').nth(2).waitFor();
  const cancelled = page.locator('[data-testid="order-row"]').filter({ hasText: "17.50" });
  await cancelled.getByTestId("cancel-order").click();
  await cancelled.waitFor({ state: "detached" });
}

async function keyboard(page) {
  await page.locator("body").click({ position: { x: 5, y: 5 } });
  await page.keyboard.press("s");
  await page.waitForFunction(() => document.activeElement?.getAttribute("data-testid") === "quantity");
  await page.keyboard.press("Tab");
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press("/");
  await page.waitForFunction(() => document.activeElement?.id === "picker");
  await page.keyboard.type("btc");
  await page.screenshot({ path: `${shots}picker.png` });
  await page.keyboard.press("Enter");
  await page.waitForURL("**/trade/BTC-USD");
  await page.locator('.level[tabindex="0"]').focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector('[data-testid="price"]')?.value !== "");
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press("?");
  await test(page, "help").waitFor();
  await look(page, "help");
  await page.keyboard.press("Escape");
  await test(page, "help").waitFor({ state: "hidden" });
}

/** Passkeys with chromium's virtual authenticator: register, withdraw with it, log in with it. */
async function passkeys(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true };
  await session.send("WebAuthn.addVirtualAuthenticator", {
    options: { ...options, isUserVerified: true, automaticPresenceSimulation: true },
  });
  await page.goto(`${base}/account`);
  await test(page, "add-passkey").click();
  await until(page, "passkeys", "Passkey");
  await test(page, "withdraw-asset").selectOption("USD");
  await test(page, "withdraw-amount").fill("10");
  await test(page, "withdraw-send").click();
  await until(page, "notice-good", "withdrawal of 10 USD is done");
  await test(page, "api-key-label").fill("bot");
  await test(page, "api-key-make").click();
  await until(page, "api-key", "tlk_");
  await look(page, "account-key");
  await test(page, "log-out").click();
  await test(page, "log-in-link").click();
  await test(page, "login").fill("ann");
  await test(page, "password").fill("correct horse");
  await test(page, "log-in").click();
  await test(page, "use-passkey").waitFor();
  await look(page, "second-factor");
  await test(page, "use-passkey").click();
  await test(page, "account-link").waitFor();
  const kept = await page.evaluate(() => Object.keys({ ...localStorage, ...sessionStorage }));
  const strange = kept.filter((key) => !["tapeline.theme", "tapeline.instrument"].includes(key));
  if (strange.length > 0) findings.push(`kept in the browser: ${strange.join(", ")}`);
}

/** Names that try to be markup are shown as text (a dialog would be a finding). */
async function hostileName(page) {
  const name = "<img src=x onerror=alert(1)>-USD";
  await page.goto(`${base}/trade/${encodeURIComponent(name)}`);
  await page.getByRole("heading", { name }).waitFor();
  await test(page, "picker").click();
  await page.locator("#picker-list li", { hasText: "<img" }).waitFor();
}

/** Without a gateway the shell still starts, and says how old it is. */
async function offline(page) {
  await page.goto(`${base}/trade/ABC-USD`);
  await test(page, "connection").filter({ hasText: "live" }).waitFor();
  await page.evaluate(() => navigator.serviceWorker.ready);
  await server.close();
  await page.locator('[data-testid="connection"][data-state="offline"]').waitFor();
  await page.screenshot({ path: `${shots}offline.png` });
  await page.reload();
  await page.getByText("The gateway can't be reached").waitFor();
  await page.screenshot({ path: `${shots}offline-reloaded.png` });
}

async function pages(page, name, narrow) {
  await page.goto(`${base}/trade/ABC-USD`);
  await test(page, "connection").filter({ hasText: "live" }).waitFor();
  const views = narrow ? ["chart", "book", "tape", "order", "orders", "funds"] : [null];
  for (const view of views) {
    if (view) await test(page, `view-${view}`).click();
    await page.waitForTimeout(view === null || view === "chart" ? 1_200 : 300);
    await look(page, `trade-${view ?? "all"}-${name}`);
  }
  if (!narrow) {
    await test(page, "mine-fills").click();
    await test(page, "fill-row").first().waitFor();
    await test(page, "mine-history").click();
    await look(page, `history-${name}`);
  }
  for (const path of ["analytics", "pipeline", "account"]) {
    await page.goto(`${base}/${path}`);
    await page.locator("main table").first().waitFor();
    await page.waitForTimeout(200);
    await look(page, `${path}-${name}`);
    await page.screenshot({ path: `${shots}${path}-${name}-whole.png`, fullPage: true });
  }
}

try {
  const page = await open("dark", 1440, 900);
  await page.goto(base);
  await test(page, "level-buy").first().waitFor();
  await page.waitForTimeout(800);
  await look(page, "out-dark-1440");
  await signUp(page, "ann");
  await trade(page);
  await look(page, "traded-dark-1440");
  await keyboard(page);
  await hostileName(page);
  await passkeys(page);
  const storageState = await page.context().storageState();
  await page.context().close();
  for (const theme of ["dark", "light"]) {
    for (const [width, height] of [
      [1440, 900],
      [1000, 800],
      [360, 740],
    ]) {
      const shown = await open(theme, width, height, { storageState });
      await pages(shown, `${theme}-${width}`, width < 861);
      await shown.context().close();
    }
    const entry = await open(theme, 360, 740);
    await entry.goto(`${base}/log-in`);
    await test(entry, "log-in").waitFor();
    await test(entry, "login").fill("nobody");
    await test(entry, "password").fill("nothing at all");
    await test(entry, "log-in").click();
    await until(entry, "entry-problem", "wrong");
    await look(entry, `log-in-${theme}-360`);
    await entry.context().close();
  }
  await offline(await open("dark", 1440, 900));
} catch (error) {
  findings.push(String(error));
}
await browser.close();
console.log(findings.length > 0 ? findings.join("\n") : "nothing serious found");
process.exit(findings.length > 0 ? 1 : 0);
