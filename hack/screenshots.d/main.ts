/** `node hack/screenshots.d/main.ts TREE FOLDER`: the page, the dashboard and the topology of a captured tree as pictures. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { topologyOf } from '../../src/cli/topology/model.ts';
import { renderTopologySvg } from '../../src/cli/topology/svg.ts';
import { zeroConfig } from '../../src/config/index.ts';
import { inventoryView } from '../../src/engine/inventory-view.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import type { DeviceOwner } from '../../src/engine/view.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { createPciNames } from '../../src/linux/sysfs/pci-ids.ts';
import { objectOf } from '../../test/kubernetes/inventories.ts';
import { openBrowser, openTab, showNode } from '../../test/page/browser.ts';
import { showCluster } from '../../test/page/cluster-scene.ts';

const [, , root, folder] = process.argv;
if (root === undefined || folder === undefined) throw new Error('usage: node hack/screenshots.d/main.ts TREE FOLDER');

const inventory = await createNodeReader({ root, names: createPciNames() }).read();
const vfs = inventory.nics.flatMap((nic) => nic.vfs).filter((vf) => vf.driver !== undefined);
const owner = (pod: string, ifname: string): DeviceOwner => ({
  pod,
  containerId: 'f0e1d2c3b4a5'.padEnd(64, '0'),
  ifname,
  since: '2026-11-20T08:15:00Z',
});
/** Tenants, for the sake of the picture: the node is real, its pods are not. */
const PODS: readonly (readonly [index: number, owner: DeviceOwner])[] = [
  [0, owner('default/web-0', 'net1')],
  [3, owner('default/web-1', 'net1')],
  [4, owner('telco/upf-7d9f', 'net1')],
  [8, owner('telco/upf-7d9f', 'net2')],
];
const owners = Object.fromEntries(PODS.flatMap(([index, pod]) => (vfs[index] ? [[vfs[index].address, pod]] : [])));
const held = new Map(Object.keys(owners).map((address) => [address, {}]));
const plan = evaluate(zeroConfig().pools, { inventory, heldDevices: held, uplinkUse: new Map() });

writeFileSync(join(folder, 'topology.svg'), renderTopologySvg(topologyOf(inventoryView(inventory, plan, owners))));

const node = await showNode(inventory);
Object.assign(node, { plan, owners });
const browser = await openBrowser();
try {
  await shoot(browser, 'page-light', { colorScheme: 'light', viewport: { width: 1200, height: 800 } });
  await shoot(browser, 'page-dark', { colorScheme: 'dark', viewport: { width: 1200, height: 800 } });
  await shoot(browser, 'page-phone', { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true });
  for (const scheme of ['light', 'dark'] as const) await shootTopology(browser, scheme);
  await shootDashboard(browser);
} finally {
  await browser.close();
  await node.close();
}

async function shoot(from: Browser, name: string, options: Parameters<Browser['newPage']>[0]): Promise<void> {
  const { tab, problems } = await openTab(from, options);
  await tab.goto(node.page.url);
  await tab.locator('.place[data-state="taken"][data-address]').nth(2).click();
  await tab.screenshot({ path: join(folder ?? '', `${name}.png`) });
  await tab.close();
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** To look at: the documentation shows the SVG itself. */
async function shootTopology(from: Browser, scheme: 'light' | 'dark'): Promise<void> {
  const { tab } = await openTab(from, { colorScheme: scheme, viewport: { width: 1000, height: 700 } });
  await tab.setContent(readFileSync(join(folder ?? '', 'topology.svg'), 'utf8'));
  await tab.screenshot({ path: join(process.env.TMPDIR ?? '/tmp', `berth-topology-${scheme}.png`) });
  await tab.close();
}

/** A cluster of such nodes: the hardware is that of the tree, names and tenants are made up. */
async function shootDashboard(from: Browser): Promise<void> {
  const addresses = vfs.map(({ address }) => address);
  const objects = Array.from({ length: 8 }, (_, index) => {
    const taken = addresses.filter((_address, place) => (place * 5 + index * 3) % 7 < index % 5);
    const tenants = taken.map((address, place) => [address, owner(`shop/web-${index}-${place}`, 'net1')] as const);
    const held = new Map(taken.map((address) => [address, {}]));
    const offered = evaluate(zeroConfig().pools, { inventory, heldDevices: held, uplinkUse: new Map() });
    return objectOf(`worker-${index + 1}`, inventoryView(inventory, offered, Object.fromEntries(tenants)));
  });
  const cluster = await showCluster(objects);
  const wide = { width: 1200, height: 800 };
  const shots: readonly (readonly [string, Parameters<Browser['newPage']>[0], boolean])[] = [
    ['dashboard-light', { colorScheme: 'light', viewport: wide }, false],
    ['dashboard-dark', { colorScheme: 'dark', viewport: wide }, false],
    ['dashboard-node', { colorScheme: 'light', viewport: wide }, true],
    ['dashboard-phone', { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true }, false],
  ];
  for (const [name, options, isOpen] of shots) {
    const { tab, problems } = await openTab(from, options);
    await tab.goto(cluster.url);
    await tab.locator('.node .place').first().waitFor();
    if (isOpen) await tab.getByRole('button', { name: 'worker-5', exact: true }).click();
    await tab.locator('.place[data-state="taken"][data-address]:visible').nth(2).click();
    await tab.screenshot({ path: join(folder ?? '', `${name}.png`) });
    await tab.close();
    if (problems.length > 0) throw new Error(problems.join('\n'));
  }
  await cluster.close();
}
