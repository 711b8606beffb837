/** The users of the tests, signed up once (a failed test is followed by a new worker, with new ones), and the promise that no page logged an error. */
import { expect, test as base } from "@playwright/test";
import { Trader } from "./trader";

interface Users {
  ann: Trader;
  bob: Trader;
}

export const test = base.extend<{ quiet: void }, Users>({
  ann: [
    async ({ browser }, use, { workerIndex }) => {
      const ann = await Trader.signUp(browser, `ann${workerIndex}`, "Ann");
      await ann.trade();
      await ann.deposit("USD", "10000");
      await use(ann);
    },
    { scope: "worker" },
  ],
  bob: [
    async ({ browser }, use, { workerIndex }) => {
      const bob = await Trader.signUp(browser, `bob${workerIndex}`);
      await bob.trade();
      await bob.deposit("ABC", "500");
      await use(bob);
    },
    { scope: "worker" },
  ],
  quiet: [
    async ({ ann, bob }, use) => {
      await use();
      expect(ann.errors.splice(0), "errors on Ann's pages").toEqual([]);
      expect(bob.errors.splice(0), "errors on Bob's pages").toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };
