/** A person at a browser: what they do on the pages, and what they see. Every error that a page logs is kept. */
import { expect, type Browser, type Locator, type Page } from "@playwright/test";

export const PASSWORD = "correct horse battery";
/** The instrument whose book only these tests use. */
export const INSTRUMENT = "ABC-USD";

export interface Draft {
  side: "buy" | "sell";
  type?: "limit" | "market";
  quantity: string;
  price?: string;
}

/** Notes each state in which the page ever showed an order: some last only milliseconds. */
function watchStates(): void {
  const seen: Record<string, string[]> = {};
  Object.assign(globalThis, { tapelineStates: seen });
  const look = () => {
    for (const row of document.querySelectorAll<HTMLElement>('[data-testid="order-row"]')) {
      const { clientOrderId = "", status = "" } = row.dataset;
      const states = (seen[clientOrderId] ??= []);
      if (states.at(-1) !== status) states.push(status);
    }
  };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-status"] });
}

export class Trader {
  /** What went wrong on this person's pages: errors in the console, exceptions, dialogs. */
  readonly errors: string[] = [];

  private constructor(
    readonly page: Page,
    readonly login: string,
  ) {
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(`exception: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.errors.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }

  /** A browser of their own, nobody logged in. */
  static async arrive(browser: Browser, login: string, base?: string): Promise<Trader> {
    const context = await browser.newContext({
      viewport: { width: 1440, height: 900 },
      ...(base && { baseURL: base }),
    });
    await context.addInitScript(watchStates);
    return new Trader(await context.newPage(), login);
  }

  /** Signs up, which logs in. */
  static async signUp(browser: Browser, login: string, name?: string): Promise<Trader> {
    const trader = await Trader.arrive(browser, login);
    const { page } = trader;
    await page.goto("/sign-up");
    await trader.id("login").fill(login);
    await trader.id("password").fill(PASSWORD);
    if (name) await trader.id("display-name").fill(name);
    await trader.id("sign-up").click();
    await expect(trader.id("account-link")).toHaveText(name ?? login);
    return trader;
  }

  async logIn(): Promise<void> {
    await this.page.goto("/log-in");
    await this.id("login").fill(this.login);
    await this.id("password").fill(PASSWORD);
    await this.id("log-in").click();
  }

  id(testid: string): Locator {
    return this.page.getByTestId(testid);
  }

  /** Opens the trading page and waits until it is live. */
  async trade(instrument = INSTRUMENT): Promise<void> {
    await this.page.goto(`/trade/${instrument}`);
    await this.isLive();
    // On a narrow screen the funds are there, behind their tab.
    await expect(this.id("balances").or(this.page.getByText("No funds yet"))).toBeAttached();
  }

  async isLive(): Promise<void> {
    await expect(this.id("connection")).toHaveAttribute("data-state", "live", { timeout: 40_000 });
  }

  async deposit(asset: string, amount: string): Promise<void> {
    await this.id("deposit-asset").selectOption(asset);
    await this.id("deposit-amount").fill(amount);
    await this.id("deposit-send").click();
    await expect(this.balance(asset)).toBeVisible();
  }

  balance(asset: string, part: "available" | "reserved" = "available"): Locator {
    return this.page.locator(`[data-testid="balance-row"][data-asset="${asset}"]`).getByTestId(`balance-${part}`);
  }

  async fill(draft: Draft): Promise<void> {
    // The inputs themselves are out of sight; their labels are what a person clicks.
    await this.id(`side-${draft.side}`).check({ force: true });
    await this.id(`type-${draft.type ?? "limit"}`).check({ force: true });
    await this.id("quantity").fill(draft.quantity);
    if (draft.price) await this.id("price").fill(draft.price);
  }

  /** Sends the form, and gives the client order id that the page chose. */
  async send(): Promise<string> {
    const isOrder = (url: string, method: string) => method === "POST" && new URL(url).pathname === "/v1/orders";
    const sent = this.page.waitForRequest((request) => isOrder(request.url(), request.method()));
    await this.id("send-order").click();
    return String((await sent).postDataJSON().client_order_id);
  }

  async place(draft: Draft): Promise<string> {
    await this.fill(draft);
    return this.send();
  }

  /** The open order's row. */
  order(id: string): Locator {
    return this.page.locator(`[data-testid="order-row"][data-client-order-id="${id}"]`);
  }

  async isOpen(id: string): Promise<void> {
    await expect(this.order(id)).toHaveAttribute("data-status", "open");
  }

  /** The states in which the page has shown the order since it was loaded. */
  states(id: string): Promise<string[]> {
    return this.page.evaluate(
      (id) => (globalThis as unknown as { tapelineStates: Record<string, string[]> }).tapelineStates[id] ?? [],
      id,
    );
  }

  async fills(id: string): Promise<Locator> {
    await this.id("mine-fills").click();
    return this.page.locator(`[data-testid="fill-row"][data-client-order-id="${id}"]`);
  }

  async history(id: string): Promise<Locator> {
    await this.id("mine-history").click();
    return this.page.locator(`[data-testid="history-row"][data-client-order-id="${id}"]`);
  }

  /** An order of the book as others see it. */
  level(side: Draft["side"], price: string): Locator {
    return this.id(`level-${side}`).filter({ hasText: price });
  }
}
