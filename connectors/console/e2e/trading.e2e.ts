/** What traders do, on the real pipeline: nothing here stands in for anything. */
import { Line } from "./line";
import { expect, test } from "./test";
import { PASSWORD, Trader } from "./trader";

test("a stranger looks, signs up, logs out and in, and deposits", async ({ browser, baseURL }) => {
  const carol = await Trader.arrive(browser, "carol");
  await carol.page.goto("/trade/ABC-USD");
  await expect(carol.page.getByText("You are not logged in").first()).toBeVisible();

  await carol.page.goto("/sign-up");
  await carol.id("login").fill("carol");
  await carol.id("password").fill("short");
  await carol.id("sign-up").click();
  await expect(carol.page.getByText("Use at least 10 characters.")).toBeVisible();
  await carol.id("password").fill(PASSWORD);
  // A name that tries to be markup is a name.
  await carol.id("display-name").fill("<img src=x onerror=alert(1)>");
  await carol.id("sign-up").click();
  await expect(carol.id("account-link")).toHaveText("<img src=x onerror=alert(1)>");

  await carol.page.goto("/account");
  // All of the page first: what is asked while the session ends is answered 401.
  await expect(carol.id("profile-login")).toHaveText("carol");
  await expect(carol.page.getByText("No API keys yet")).toBeVisible();
  await carol.id("log-out").click();
  await expect(carol.id("log-in-link")).toBeVisible();
  await carol.page.goto("/account");
  await expect(carol.page.getByText("You are not logged in")).toBeVisible();
  expect(carol.errors, "errors until here").toEqual([]);

  await carol.page.goto("/log-in");
  await carol.id("login").fill("carol");
  await carol.id("password").fill("correct horse batterx");
  await carol.id("log-in").click();
  await expect(carol.id("entry-problem")).toContainText("wrong");
  // Chromium itself logs each answer 401, whatever the page makes of it.
  expect(carol.errors.splice(0).filter((error) => !error.includes("401"))).toEqual([]);
  await carol.logIn();
  await expect(carol.id("account-link")).toBeVisible();

  await carol.trade();
  await expect(carol.page.getByText("No funds yet")).toBeVisible();
  await carol.deposit("USD", "1234.5");
  await expect(carol.balance("USD")).toHaveText("1,234.5");
  await carol.page.reload();
  await expect(carol.balance("USD")).toHaveText("1,234.5");

  const { cookies } = await carol.page.context().storageState();
  expect(cookies.map(({ httpOnly, sameSite }) => [httpOnly, sameSite])).toEqual([[true, "Strict"]]);
  const kept = await carol.page.evaluate(() => Object.keys({ ...localStorage, ...sessionStorage }));
  expect(kept.filter((key) => !["tapeline.theme", "tapeline.instrument"].includes(key))).toEqual([]);
  expect(carol.errors, `errors of ${baseURL}`).toEqual([]);
  await carol.page.context().close();
});

test("an order is pending, then filled, and the cost was said before", async ({ ann, bob }) => {
  await Promise.all([ann.trade(), bob.trade()]);
  const resting = await bob.place({ side: "sell", quantity: "5", price: "20" });
  await bob.isOpen(resting);
  expect(await bob.states(resting)).toEqual(["pending", "open"]);

  await ann.fill({ side: "buy", type: "market", quantity: "2" });
  await expect(ann.id("cost-reserved")).toContainText("USD");
  const taken = await ann.send();
  await expect(ann.id("notice-good").filter({ hasText: "Filled" })).toBeVisible();
  await expect(ann.order(taken)).toHaveCount(0);
  expect((await ann.states(taken))[0]).toBe("pending");
  const fill = await ann.fills(taken);
  await expect(fill).toContainText("20");
  // 40 USD at 250 parts per million.
  await expect(fill).toContainText("0.01 USD");
  await expect(await ann.history(taken)).toHaveAttribute("data-status", "filled");
  await expect(ann.balance("ABC")).toHaveText("2");
  await expect(ann.balance("USD")).toHaveText("9,959.99");

  await expect(bob.order(resting)).toHaveAttribute("data-status", "partly_filled");
  await expect(bob.order(resting).getByTestId("order-filled")).toHaveText("2");
  await bob.order(resting).getByTestId("cancel-order").click();
  await expect(bob.order(resting)).toHaveCount(0);
});

test("orders are amended and cancelled, one and all", async ({ ann }) => {
  await ann.trade();
  await ann.id("mine-open").click();
  const [one, two, three] = [
    await ann.place({ side: "buy", quantity: "3", price: "15" }),
    await ann.place({ side: "buy", quantity: "4", price: "15.5" }),
    await ann.place({ side: "buy", quantity: "5", price: "16" }),
  ];
  for (const id of [one, two, three]) await ann.isOpen(id);
  await expect(ann.balance("USD", "reserved")).not.toHaveText("0");

  await ann.order(one).getByTestId("amend-order").click();
  await ann.id("amend-quantity").fill("7");
  await ann.id("amend-price").fill("15.25");
  await ann.id("amend-save").click();
  await expect(ann.order(one).getByTestId("order-quantity")).toHaveText("7");
  await expect(ann.order(one).getByTestId("order-price")).toHaveText("15.25");
  await ann.isOpen(one);
  await expect(ann.level("buy", "15.25")).toContainText("7");
  await expect(ann.level("buy", "15.00")).toHaveCount(0);

  await ann.order(two).getByTestId("cancel-order").click();
  await expect(ann.order(two)).toHaveCount(0);
  await ann.id("cancel-all").click();
  await expect(ann.id("order-row")).toHaveCount(0);
  for (const id of [one, two, three]) {
    await expect(await ann.history(id)).toHaveAttribute("data-status", "cancelled");
  }
  await expect(ann.balance("USD", "reserved")).toHaveText("0");
});

test("an order without the funds for it is refused with a sentence", async ({ ann }) => {
  await ann.trade();
  await ann.id("mine-open").click();
  await ann.fill({ side: "buy", quantity: "900", price: "25" });
  await expect(ann.id("funds-problem")).toBeVisible();
  const id = await ann.send();
  await expect(ann.order(id)).toHaveAttribute("data-status", "rejected");
  await expect(ann.id("order-sentence")).toContainText("You do not have enough available for this.");
  await expect(ann.id("order-sentence")).toContainText("USD");
  await ann.order(id).getByTestId("dismiss-order").click();
  await expect(ann.order(id)).toHaveCount(0);
  await expect(ann.balance("USD", "reserved")).toHaveText("0");
  await ann.page.reload();
  const refused = await ann.history(id);
  await expect(refused).toHaveAttribute("data-status", "rejected");
  await expect(refused).toContainText("You do not have enough available for this.");
});

test("who loses the connection is told so, and comes back to what happened meanwhile", async ({
  ann,
  bob,
  browser,
  baseURL,
}) => {
  const line = await Line.to(String(baseURL));
  const away = await Trader.arrive(browser, ann.login, line.url);
  await away.logIn();
  await expect(away.id("account-link")).toBeVisible();
  await away.trade();
  await bob.trade();
  const resting = await away.place({ side: "buy", quantity: "3", price: "19" });
  await away.isOpen(resting);
  expect(away.errors).toEqual([]);

  line.cut();
  await expect(away.id("connection")).toHaveAttribute("data-state", "offline");
  const lost = await away.place({ side: "buy", quantity: "1", price: "18" });
  await expect(away.order(lost).getByTestId("order-status")).toHaveText("No answer, checking…");
  const sold = await bob.place({ side: "sell", type: "market", quantity: "3" });
  await expect(await bob.fills(sold)).toBeVisible();
  await expect(away.order(resting)).toHaveAttribute("data-status", "open");

  line.mend();
  await away.isLive();
  await expect(away.order(resting)).toHaveCount(0);
  // What never arrived was not placed, and is not sent again by itself.
  await expect(away.order(lost).getByTestId("order-status")).toHaveText("Not placed");
  await expect(away.id("order-sentence")).toContainText("the exchange has no such order");
  await expect(await away.fills(resting)).toContainText("19");
  await expect(await away.history(resting)).toHaveAttribute("data-status", "filled");
  // Chromium itself logs each attempt to connect while the line is cut, and that the lost order is not found (404).
  const others = away.errors.filter((error) => !/net::ERR_|WebSocket connection to .* failed|404/.test(error));
  expect(others).toEqual([]);
  await away.page.context().close();
  line.close();
});

test("two browsers trade with each other", async ({ ann, bob }) => {
  await Promise.all([ann.trade(), bob.trade()]);
  const before = (await ann.balance("ABC").count()) > 0 ? Number(await ann.balance("ABC").textContent()) : 0;
  const bid = await ann.place({ side: "buy", quantity: "4", price: "19.5" });
  await ann.isOpen(bid);

  await bob.level("buy", "19.50").click();
  await expect(bob.id("price")).toHaveValue("19.5");
  const ask = await bob.place({ side: "sell", quantity: "4" });
  await expect(await ann.fills(bid)).toContainText("maker");
  await expect(await bob.fills(ask)).toContainText("taker");
  await expect(ann.balance("ABC")).toHaveText(String(before + 4));
  for (const trader of [ann, bob]) {
    await expect(trader.id("last-price")).toContainText("19.50");
    await expect(trader.level("buy", "19.50")).toHaveCount(0);
  }
});
