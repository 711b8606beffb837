/**
 * Every page on a live market, wide and at 360 px: no serious finding of axe, nothing wider than the screen, no error.
 * With TAPELINE_SHOTS the pictures of docs/console.md are written to that folder.
 */
import axe from "axe-core";
import { expect, test } from "./test";
import { PASSWORD, Trader } from "./trader";

const SIZES = [
  { name: "wide", width: 1440, height: 900 },
  { name: "narrow", width: 360, height: 740 },
];
const MARKET = String(process.env.TAPELINE_MARKET);

async function look(trader: Trader, name: string): Promise<void> {
  const { page } = trader;
  if (process.env.TAPELINE_SHOTS) await page.screenshot({ path: `${process.env.TAPELINE_SHOTS}/${name}.png` });
  // Playwright evaluates past the page's CSP.
  await page.evaluate(axe.source);
  const serious = await page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document);
    const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return grave.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  });
  expect(serious, `axe on ${name}`).toEqual([]);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(over, `px by which ${name} is wider than the screen`).toBe(0);
}

test("all pages, wide and narrow", async ({ browser }) => {
  test.setTimeout(180_000);
  const olga = await Trader.signUp(browser, "olga", "Olga");
  await olga.trade(MARKET);
  const [base = ""] = MARKET.split("-");
  await olga.deposit("USD", "1000000");
  await olga.deposit(base, "1000");
  await expect(olga.id("level-buy").nth(3)).toBeVisible();
  await expect(olga.id("level-sell").nth(3)).toBeVisible();
  const taken = await olga.place({ side: "buy", type: "market", quantity: "2" });
  await expect(await olga.fills(taken)).not.toHaveCount(0);
  await olga.id("mine-open").click();
  // Behind the best levels, so that it rests.
  await olga.id("side-buy").check({ force: true });
  await olga.id("type-limit").check({ force: true });
  await olga.id("level-buy").nth(3).click();
  await olga.id("quantity").fill("3");
  await olga.isOpen(await olga.send());

  for (const { name, ...size } of SIZES) {
    await olga.page.setViewportSize(size);
    await olga.trade(MARKET);
    const views = name === "narrow" ? ["chart", "book", "tape", "order", "orders", "funds"] : ["all"];
    for (const view of views) {
      if (view !== "all") await olga.id(`view-${view}`).click();
      else await expect(olga.id("level-buy").first()).toBeVisible();
      await look(olga, `trade-${view}-${name}`);
    }
    await olga.page.goto("/analytics");
    await expect(olga.page.locator("main table").first()).toBeVisible();
    await look(olga, `analytics-${name}`);
    await olga.page.goto("/pipeline");
    await expect(olga.id("components")).toContainText("validator");
    await expect(olga.id("topics")).toContainText("trades.settled");
    await expect(olga.id("components").getByRole("row", { name: "validator" })).toContainText(/[1-9]\d*\/s/);
    await look(olga, `pipeline-${name}`);
    await olga.page.goto("/account");
    await expect(olga.id("profile-login")).toHaveText("olga");
    await look(olga, `account-${name}`);
  }
  expect(olga.errors).toEqual([]);
  await olga.page.context().close();
});

test("the ways in, wide and narrow", async ({ browser }) => {
  const stranger = await Trader.arrive(browser, "nobody");
  for (const { name, ...size } of SIZES) {
    await stranger.page.setViewportSize(size);
    for (const path of ["log-in", "sign-up"]) {
      await stranger.page.goto(`/${path}`);
      await stranger.id("login").fill("olga");
      await stranger.id("password").fill(PASSWORD);
      await look(stranger, `${path}-${name}`);
    }
  }
  expect(stranger.errors).toEqual([]);
  await stranger.page.context().close();
});

test("the console can be installed and starts without a network", async ({ browser }) => {
  const stranger = await Trader.arrive(browser, "nobody");
  const { page } = stranger;
  await page.goto("/");
  await page.evaluate(() => navigator.serviceWorker.ready);
  const manifest = await page.locator('link[rel="manifest"]').getAttribute("href");
  const { name, icons, display } = await (await page.request.get(String(manifest))).json();
  expect([name, display]).toEqual(["Tapeline", "standalone"]);
  for (const icon of icons) expect((await page.request.get(icon.src)).status()).toBe(200);
  await page.context().setOffline(true);
  await page.reload();
  await expect(page.getByText("The gateway can't be reached")).toBeVisible();
  await page.context().close();
});
