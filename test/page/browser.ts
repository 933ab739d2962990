/** Chromium of the machine, without its sandbox where the tests are root, and the page of a node that tests can change. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Test } from 'uvu';
import { pageAssets } from '../../src/app/page-assets.ts';
import { createNodeFeed } from '../../src/engine/feed/feed.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { inventoryView } from '../../src/engine/inventory-view.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import type { Plan } from '../../src/engine/pools/model.ts';
import type { AgentView, DeviceOwner, PodContainer } from '../../src/engine/view.ts';
import { createNodeStreams } from '../../src/http/node-stream.ts';
import { type PageServer, servePage } from '../../src/http/page.ts';
import { answerApi } from '../../src/http/server.ts';

export const CHROMIUM = '/usr/bin/chromium';
export const hasChromium = existsSync(CHROMIUM);

/** What the browser says of a server that was stopped, whenever it gets to saying it; the page shows it as well. */
const SERVER_GONE = /^Failed to load resource: net::ERR_/;

/** What the page shows; `change` makes it show what was set. */
export interface ShownNode {
  readonly page: PageServer;
  inventory: Inventory;
  plan: Plan;
  owners: Readonly<Record<string, DeviceOwner>>;
  allocations: Readonly<Record<string, PodContainer>>;
  change(): void;
  /** Ends the streams, as an agent that stops does. */
  cut(): void;
  close(): Promise<void>;
}

/** Serves the page of `inventory` on a free port of loopback. */
export async function showNode(inventory: Inventory): Promise<ShownNode> {
  let notify: () => void = () => undefined;
  const shown = {
    inventory,
    plan: { pools: [], unused: [] } as Plan,
    owners: {} as Readonly<Record<string, DeviceOwner>>,
    allocations: {} as Readonly<Record<string, PodContainer>>,
    change: () => notify(),
  };
  const view = () => ({
    ...inventoryView(shown.inventory, shown.plan, shown.owners),
    allocations: shown.allocations,
  });
  const feed = createNodeFeed({
    view,
    changes: [
      (listener) => {
        notify = listener;
        return () => undefined;
      },
    ],
    log: silentLogger,
  });
  const streams = createNodeStreams({ feed, log: silentLogger });
  const answers = { view: { inventory: view } as unknown as AgentView, streams, log: silentLogger };
  const page = await servePage({
    at: { host: '127.0.0.1', port: 0 },
    assets: pageAssets('node'),
    token: 'token-of-the-test',
    tokenRemedy: 'Ask the test.',
    answer: (request, response) => answerApi(answers, request, response),
    log: silentLogger,
  });
  return Object.assign(shown, {
    page,
    cut: () => streams.close(),
    close: async () => {
      streams.close();
      feed.stop();
      await page.close();
    },
  });
}

/** Starts Chromium; the caller closes it. */
export async function openBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
}

/** What a test in the browser has. */
export interface TabContext {
  browser: Browser;
  tab: Page;
  problems: string[];
}

/**
 * One Chromium for the suite, and for each test a tab on the address that `open` answers. `close` ends
 * what was opened, after the tab. A test of whose page something is wrong fails.
 */
export function useTabs<Context extends TabContext>(
  test: Test<Context>,
  open: (context: Context) => Promise<string>,
  close: (context: Context) => Promise<void>,
): void {
  test.before(async (context) => {
    context.browser = await openBrowser();
  });
  test.after(async ({ browser }) => {
    await browser.close();
  });
  test.before.each(async (context) => {
    const address = await open(context);
    Object.assign(context, await openTab(context.browser));
    await context.tab.goto(address);
    await context.tab.locator('#connection[data-state="live"]').waitFor();
    await context.tab.locator('.place:visible').first().waitFor();
  });
  test.after.each(async (context) => {
    await context.tab.close();
    await close(context);
    assert.deepEqual(context.problems, []);
  });
}

/** A tab in which every request to another place, and every error of the page, is collected. */
export async function openTab(
  browser: Browser,
  options: Parameters<Browser['newPage']>[0] = {},
): Promise<{ readonly tab: Page; readonly problems: string[] }> {
  const tab = await browser.newPage(options);
  const problems: string[] = [];
  tab.on('pageerror', (error) => problems.push(String(error)));
  tab.on('console', (message) => {
    const isProblem = message.type() === 'error' || message.type() === 'warning';
    if (isProblem && !SERVER_GONE.test(message.text())) problems.push(message.text());
  });
  tab.on('request', (request) => {
    if (!request.url().startsWith('http://127.0.0.1:')) problems.push(`asked for ${request.url()}`);
  });
  return { tab, problems };
}
