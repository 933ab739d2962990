/**
 * `hack/bench page`: the page of a node with 2,048 VFs in Chromium, what it costs the agent, and the
 * dashboard. The nodes are generated trees; the browser runs on the same cores as the server.
 */
import { mkdirSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { zeroConfig } from '../../src/config/index.ts';
import { type FeedDocument, feedDocument } from '../../src/engine/feed/document.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { inventoryView } from '../../src/engine/inventory-view.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { hasChromium, openBrowser, openTab, type ShownNode, showNode } from '../../test/page/browser.ts';
import { generateTree } from '../../test/trees/generate.ts';
import { type Bench, BenchError } from './bench.ts';
import { benchDashboard } from './dashboard.ts';
import { type Measurement, measurement } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';

const TREE = `${WORK_DIR}/tree-page`;
const MOST_TABS = 10;

export async function benchPage(bench: Bench): Promise<Measurement[]> {
  if (!hasChromium) throw new BenchError('there is no Chromium here: hack/setup test installs it');
  mkdirSync(TREE);
  generateTree(TREE, { numaNodes: 2, pfs: Array.from({ length: 16 }, () => ({ vfs: 128 })) });
  const inventory = await createNodeReader({ root: TREE }).read();
  const plan = evaluate(zeroConfig().pools, { inventory, heldDevices: new Map(), uplinkUse: new Map() });
  const node = await showNode(inventory);
  node.plan = plan;
  const browser = await openBrowser();
  try {
    const tabs = Math.min(MOST_TABS, bench.runs);
    bench.say(`page: ${tabs} tabs with 2,048 VFs, one change in each`);
    const paints: number[] = [];
    const places: number[] = [];
    const updates: number[] = [];
    for (let run = 0; run < tabs; run++) {
      const seen = await oneTab(browser, node, run);
      paints.push(seen.paintMs);
      places.push(seen.placesMs);
      updates.push(seen.updateMs);
    }
    return [
      measurement('page.paint', 'ms', { berth: paints }),
      measurement('page.places', 'ms', { berth: places }),
      measurement('page.update', 'ms', { berth: updates }),
      measurement('page.view', 'ms', { berth: viewsOf(inventory, plan, bench.runs) }),
      ...(await benchDashboard(bench, browser, tabs)),
    ];
  } finally {
    await browser.close();
    await node.close();
  }
}

/** What is measured in the page itself runs on its own clock. */
async function oneTab(
  browser: Browser,
  node: ShownNode,
  run: number,
): Promise<{ readonly paintMs: number; readonly placesMs: number; readonly updateMs: number }> {
  const { tab } = await openTab(browser);
  await tab.goto(node.page.url);
  await tab.locator('body[data-painted]').waitFor();
  const [paintMs, placesMs] = (await tab.evaluate(
    "[performance.getEntriesByName('first-contentful-paint')[0].startTime, Number(document.body.dataset.painted)]",
  )) as [number, number];
  const address = node.inventory.nics[run % 16]?.vfs[run + 20]?.address ?? '';
  const seen = tab.evaluate<number>(`new Promise((resolve) => {
    const place = document.querySelector('.place[data-address="${address}"]');
    new MutationObserver(() => requestAnimationFrame(() => resolve(performance.timeOrigin + performance.now())))
      .observe(place, { attributes: true, attributeFilter: ['data-state'] });
  })`);
  // The observer is there when an evaluation that was asked for later has answered.
  await tab.evaluate('0');
  const begin = performance.timeOrigin + performance.now();
  node.owners = { [address]: { containerId: 'c', ifname: 'net1', since: '2026-01-01T00:00:00Z' } };
  node.change();
  const updateMs = (await seen) - begin;
  await tab.close();
  return { paintMs, placesMs, updateMs };
}

/** What the agent does for each burst of changes while somebody watches. */
function viewsOf(inventory: Inventory, plan: ShownNode['plan'], runs: number): readonly number[] {
  let document: FeedDocument | undefined;
  return Array.from({ length: runs }, () => {
    const begin = performance.now();
    document = feedDocument(inventoryView(inventory, plan, {}), document);
    return performance.now() - begin;
  });
}
