/** The page in a real browser, on generated nodes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import { zeroConfig } from '../../src/config/index.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { requireFeature } from '../runner/features.ts';
import type { TreeSpec } from '../trees/generate.ts';
import { withTree } from '../trees/temporary.ts';
import { hasChromium, openTab, type ShownNode, showNode, type TabContext, useTabs } from './browser.ts';
import { contrastsOf } from './contrast.ts';

interface Context extends TabContext {
  node: ShownNode;
}

const SPEC: TreeSpec = {
  node: 'worker-7',
  numaNodes: 2,
  pfs: [
    { vfs: 8, driver: 'igb' },
    { vfs: 4, vfDrivers: { 3: null } },
  ],
  virtual: [{ ifname: 'br0', devtype: 'bridge' }],
};
const VF2 = parsePciAddress('0000:10:02.2');
const OWNER = { pod: 'default/web-0', containerId: 'c'.repeat(64), ifname: 'net1', since: '2026-01-01T00:00:00Z' };

async function read(spec: TreeSpec): Promise<Inventory> {
  let found: Inventory | undefined;
  await withTree(spec, async ({ dir }) => {
    found = await createNodeReader({ root: dir }).read();
  });
  assert.ok(found);
  return found;
}

const test = suite<Context>('page in Chromium');

if (requireFeature('chromium', hasChromium)) {
  useTabs(
    test,
    async (context) => {
      const inventory = await read(SPEC);
      context.node = await showNode(inventory);
      const nothing = { heldDevices: new Map(), uplinkUse: new Map() };
      context.node.plan = evaluate(zeroConfig().pools, { ...nothing, inventory });
      context.node.owners = { [VF2]: OWNER };
      return context.node.page.url;
    },
    ({ node }) => node.close(),
  );

  const placeOf = (tab: Page, address: string) => tab.locator(`.place[data-address="${address}"]`);
  const stateOf = (tab: Page, address: string) => placeOf(tab, address).getAttribute('data-state');

  test('shows the node, its NICs and a place for each VF with its state', async ({ tab }) => {
    assert.equal(await tab.locator('#node').textContent(), 'worker-7');
    assert.equal(await tab.title(), 'worker-7 · Berth');
    assert.equal(await tab.locator('.nic').count(), 2);
    assert.equal(await tab.locator('#picture .place').count(), 12);
    assert.equal(await stateOf(tab, VF2), 'taken');
    assert.equal(await stateOf(tab, '0000:10:02.0'), 'free');
    assert.equal(await stateOf(tab, '0000:91:02.3'), 'unused');
    assert.match((await placeOf(tab, VF2).getAttribute('aria-label')) ?? '', /VF 2 .*taken, default\/web-0/);
    assert.deepEqual(await tab.locator('.socket > h2').allTextContents(), ['NUMA node 0', 'NUMA node 1']);
  });

  test('lists the findings, and leads to what they are about', async ({ tab }) => {
    const finding = tab.locator('#findings li', { hasText: 'vf-without-driver' });
    assert.match((await finding.textContent()) ?? '', /VF 3 without a driver/);
    await finding.getByRole('button', { name: 'Show' }).click();
    assert.match((await tab.locator('#details h2').textContent()) ?? '', /0000:91:00\.0/);
  });

  test('keeps the token out of the address', async ({ tab }) => {
    assert.equal(new URL(tab.url()).hash, '');
    await tab.reload();
    await tab.locator('.place').first().waitFor();
  });

  for (const [words, address] of [
    ['web-0', VF2],
    ['default net1 taken', VF2],
    ['0000:10:02.5', '0000:10:02.5'],
    ['02:00:00:01:00:02', '0000:91:02.1'],
    ['ETH1V1', '0000:91:02.1'],
  ] as const) {
    test(`finds ${JSON.stringify(words)}`, async ({ tab }) => {
      await tab.keyboard.press('/');
      await tab.keyboard.type(words);
      assert.match((await tab.locator('#matches').textContent()) ?? '', /^1 of 14$/);
      assert.deepEqual(
        await tab
          .locator('.place:not(.dim)[data-address]')
          .evaluateAll((found) => found.map((place) => (place as HTMLElement).dataset.address)),
        [address],
      );
      await tab.keyboard.press('Enter');
      assert.match((await tab.locator('#details h2').textContent()) ?? '', new RegExp(address.replaceAll('.', '\\.')));
      await tab.keyboard.press('Escape');
      assert.equal(await tab.locator('.place.dim').count(), 0);
    });
  }

  test('shows one state alone, and says how many there are of each', async ({ tab }) => {
    const taken = tab.getByRole('button', { name: 'taken 1' });
    await taken.click();
    assert.equal(await taken.getAttribute('aria-pressed'), 'true');
    assert.equal(await tab.locator('#picture .place:not(.dim)').count(), 1);
    await taken.click();
    assert.equal(await tab.locator('#picture .place.dim').count(), 0);
  });

  test('is used with the keyboard alone', async ({ tab }) => {
    await placeOf(tab, '0000:10:02.0').focus();
    await tab.keyboard.press('ArrowRight');
    await tab.keyboard.press('ArrowRight');
    assert.match((await tab.locator('#details').textContent()) ?? '', /default\/web-0/);
    await tab.keyboard.press('Home');
    assert.match((await tab.locator('#details h2').textContent()) ?? '', /eth0/);
    await tab.keyboard.press('ArrowDown');
    assert.match((await tab.locator('#details h2').textContent()) ?? '', /^VF 0 /);
    await tab.keyboard.press('End');
    assert.match((await tab.locator('#details h2').textContent()) ?? '', /^VF 3 · 0000:91:02\.3/);
  });

  test('follows changes, and touches only what changed', async ({ node, tab }) => {
    await placeOf(tab, '0000:10:02.1').evaluate((place) => {
      place.dataset.mark = 'kept';
    });
    node.owners = { [parsePciAddress('0000:10:02.0')]: OWNER };
    node.change();
    await tab.locator('.place[data-address="0000:10:02.0"][data-state="taken"]').waitFor();
    assert.equal(await stateOf(tab, VF2), 'free');
    assert.equal(await placeOf(tab, '0000:10:02.1').getAttribute('data-mark'), 'kept');
  });

  test('VFs that come and go, come and go in the picture', async ({ node, tab }) => {
    const [first, second] = node.inventory.nics;
    assert.ok(first && second);
    node.inventory = { ...node.inventory, nics: [{ ...first, vfs: first.vfs.slice(0, 3) }, second] };
    node.change();
    await placeOf(tab, '0000:10:02.7').waitFor({ state: 'detached' });
    assert.equal(await tab.locator('#picture .place').count(), 7);
    node.inventory = { ...node.inventory, nics: [first, second] };
    node.change();
    await placeOf(tab, '0000:10:02.7').waitFor();
  });

  test('scalable functions stand below the VFs of their NIC, like them', async ({ node, tab }) => {
    const [first, second] = node.inventory.nics;
    assert.ok(first && second);
    const scalableOf = (ids: readonly number[]) =>
      ids.map((id) => ({ name: `mlx5_core.sf.${id}`, sfnum: 80 + id, parent: first.address, driver: 'mlx5_core.sf' }));
    const withScalable = (ids: readonly number[]): void => {
      node.inventory = { ...node.inventory, nics: [{ ...first, scalable: scalableOf(ids) }, second] };
      node.change();
    };
    node.owners = { ...node.owners, 'mlx5_core.sf.4': { ...OWNER, pod: 'default/sf-0' } };
    withScalable([5, 4]);
    await placeOf(tab, 'mlx5_core.sf.5').waitFor();
    const group = tab.getByRole('group', { name: 'Scalable functions of eth0' });
    assert.deepEqual(
      await group
        .locator('.place')
        .evaluateAll((found) => found.map((place) => (place as HTMLElement).dataset.address)),
      ['mlx5_core.sf.4', 'mlx5_core.sf.5'],
    );
    assert.deepEqual([await stateOf(tab, 'mlx5_core.sf.4'), await stateOf(tab, 'mlx5_core.sf.5')], ['taken', 'unused']);
    assert.match((await tab.locator('.nic').first().locator('header').textContent()) ?? '', /2 scalable functions/);
    await placeOf(tab, '0000:10:02.7').focus();
    await tab.keyboard.press('ArrowRight');
    const details = (await tab.locator('#details').textContent()) ?? '';
    assert.match(details, /^Scalable function 84 · mlx5_core\.sf\.4.*taken.*default\/sf-0.*net1.*0000:10:00\.0/);
    await tab.locator('#search').fill('sf-0');
    assert.equal(await tab.locator('#matches').textContent(), '1 of 16');
    await tab.locator('#search').fill('');
    await tab.getByRole('button', { name: 'taken 2' }).waitFor();
    await placeOf(tab, 'mlx5_core.sf.5').evaluate((place) => {
      place.dataset.mark = 'kept';
    });
    node.owners = {};
    node.change();
    await tab.locator('.place[data-address="mlx5_core.sf.4"][data-state="unused"]').waitFor();
    assert.equal(await placeOf(tab, 'mlx5_core.sf.5').getAttribute('data-mark'), 'kept');
    withScalable([5]);
    await placeOf(tab, 'mlx5_core.sf.4').waitFor({ state: 'detached' });
    assert.equal(await group.locator('.place').count(), 1);
  });

  test('a VF that kubelet gave to a pod without an attachment is taken', async ({ node, tab }) => {
    node.allocations = { '0000:10:02.5': { pod: 'default/dpdk-0', container: 'fwd' } };
    node.change();
    await tab.locator('.place[data-address="0000:10:02.5"][data-state="taken"]').waitFor();
    await placeOf(tab, '0000:10:02.5').click();
    assert.match((await tab.locator('#details').textContent()) ?? '', /taken.*default\/dpdk-0.*fwd/);
    await tab.locator('#search').fill('dpdk-0');
    assert.equal(await tab.locator('#matches').textContent(), '1 of 14');
    node.allocations = {};
    node.change();
    await tab.locator('.place[data-address="0000:10:02.5"][data-state="free"]').waitFor();
  });

  test('says when the agent is away, and is live again when it is back', async ({ node, tab }) => {
    await tab.locator('#connection[data-state="live"]').waitFor();
    node.cut();
    await tab.locator('#connection[data-state="lost"]').waitFor();
    node.inventory = { ...node.inventory, node: { ...node.inventory.node, name: 'worker-8' } };
    node.change();
    await tab.locator('#connection[data-state="live"]').waitFor();
    assert.equal(await tab.locator('#node').textContent(), 'worker-8');
  });

  test('what the node says is text, never markup', async ({ node, tab }) => {
    const [first, second] = node.inventory.nics;
    assert.ok(first && second);
    const evil = '<img src=x onerror="document.title=1"><b>x';
    node.owners = { [VF2]: { ...OWNER, pod: evil, ifname: evil } };
    node.inventory = { ...node.inventory, nics: [{ ...first, deviceName: evil, firmware: evil }, second] };
    node.change();
    await tab.locator('.nic', { hasText: evil }).waitFor();
    await placeOf(tab, VF2).click();
    assert.ok(((await tab.locator('#details').textContent()) ?? '').includes(evil));
    assert.equal(await tab.locator('img').count(), 0);
    assert.equal(await tab.title(), 'worker-7 · Berth');
  });

  test('an old token leads to a form that takes a new one', async ({ browser, node }) => {
    const { tab, problems } = await openTab(browser);
    await tab.goto(node.page.url.replace(/#.*/, '#token=old'));
    const form = tab.locator('#token-form');
    await form.waitFor();
    await form.getByLabel('Token').fill('token-of-the-test');
    await form.getByRole('button').click();
    await tab.locator('.place').first().waitFor();
    assert.deepEqual(
      problems.filter((problem) => !problem.includes('401')),
      [],
    );
    await tab.close();
  });

  for (const scheme of ['light', 'dark'] as const) {
    test(`text can be read in ${scheme}`, async ({ browser, node }) => {
      const { tab } = await openTab(browser, { colorScheme: scheme });
      await tab.goto(node.page.url);
      await tab.locator('.place').first().waitFor();
      const ratios = await contrastsOf(tab, [
        'h1',
        '#connection',
        '.nic header span',
        '.place[data-state="taken"]',
        '#findings p',
        '#findings strong',
        'footer',
      ]);
      assert.deepEqual(
        ratios.filter(([, ratio]) => ratio < 4.5),
        [],
      );
      await tab.close();
    });
  }

  test('fits a phone: nothing is wider than the screen, and places can be touched', async ({ browser, node }) => {
    const { tab } = await openTab(browser, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await tab.goto(node.page.url);
    await tab.locator('.place').first().waitFor();
    assert.ok((await tab.evaluate(() => document.documentElement.scrollWidth)) <= 360);
    const box = await placeOf(tab, VF2).boundingBox();
    assert.ok((box?.width ?? 0) >= 30 && (box?.height ?? 0) >= 30, JSON.stringify(box));
    await placeOf(tab, VF2).tap();
    assert.match((await tab.locator('#details').textContent()) ?? '', /default\/web-0/);
    await tab.close();
  });

  test('a node without NICs says so', async ({ browser }) => {
    const empty = await showNode(await read({ node: 'bare' }));
    const { tab, problems } = await openTab(browser);
    await tab.goto(empty.page.url);
    await tab.getByText('This node has no PCI network functions.').waitFor();
    await tab.close();
    await empty.close();
    assert.deepEqual(problems, []);
  });

  test("shows the lab's machine as it was captured", async ({ browser }) => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-lab-node-'));
    execFileSync('tar', ['-xzf', join(import.meta.dirname, 'fixtures/lab-node.tar.gz'), '-C', folder]);
    const inventory = await createNodeReader({ root: folder }).read();
    rmSync(folder, { recursive: true });
    const node = await showNode(inventory);
    node.plan = evaluate(zeroConfig().pools, { heldDevices: new Map(), uplinkUse: new Map(), inventory });
    const { tab, problems } = await openTab(browser);
    await tab.goto(node.page.url);
    await tab.locator('.place').first().waitFor();
    assert.equal(await tab.locator('#picture .place').count(), 12);
    assert.equal(await tab.locator('#picture .place[data-state="unused"]').count(), 1);
    await tab.locator('#search').fill('vf-vfio');
    assert.equal(await tab.locator('#matches').textContent(), '1 of 14');
    await tab.getByRole('button', { name: 'eth0', exact: true }).click();
    const details = (await tab.locator('#details').textContent()) ?? '';
    for (const words of ['igb', '6 of 7', '/dev/ptp', '2.5 GT/s x1', 'up, 1 Gbit/s'])
      assert.ok(details.includes(words), details);
    await tab.locator('#findings li', { hasText: 'VF 4 without a driver' }).waitFor();
    await tab.close();
    await node.close();
    assert.deepEqual(problems, []);
  });

  test('shows 2,048 VFs, each once, and follows a change among them', async ({ browser }) => {
    const inventory = await read({ pfs: Array.from({ length: 16 }, () => ({ vfs: 128 })) });
    const node = await showNode(inventory);
    const { tab, problems } = await openTab(browser);
    await tab.goto(node.page.url);
    await tab.locator('body[data-painted]').waitFor();
    assert.equal(await tab.locator('#picture .place').count(), 2048);
    const address = inventory.nics[9]?.vfs[77]?.address ?? '';
    node.owners = { [address]: OWNER };
    node.change();
    await tab.locator(`.place[data-address="${address}"][data-state="taken"]`).waitFor();
    await tab.close();
    await node.close();
    assert.deepEqual(problems, []);
  });
}

test.run();
