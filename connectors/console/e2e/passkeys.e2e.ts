/** A passkey as second step, with Chromium's own authenticator. */
import { expect, test } from "./test";
import { Trader } from "./trader";

test("a passkey is asked for at log-in and for withdrawals", async ({ browser }) => {
  const dora = await Trader.signUp(browser, "dora");
  const session = await dora.page.context().newCDPSession(dora.page);
  await session.send("WebAuthn.enable");
  await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await dora.trade();
  await dora.deposit("USD", "100");
  await dora.page.goto("/account");
  await dora.id("add-passkey").click();
  await expect(dora.id("passkeys")).toContainText("Passkey");

  await expect(dora.page.getByText("No API keys yet")).toBeVisible();
  await dora.id("log-out").click();
  await dora.logIn();
  await expect(dora.id("second-factor")).toBeVisible();
  await dora.id("use-passkey").click();
  await expect(dora.id("account-link")).toBeVisible();

  await dora.page.goto("/account");
  await dora.id("withdraw-asset").selectOption("USD");
  await dora.id("withdraw-amount").fill("30");
  await dora.id("withdraw-send").click();
  await expect(dora.balance("USD")).toHaveText("70");
  expect(dora.errors).toEqual([]);
  await dora.page.context().close();
});
