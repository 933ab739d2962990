/** The dashboard in a real browser: the whole way from the API server's stand-in to the screen. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { inventoryNamed, objectOf } from '../kubernetes/inventories.ts';
import { viewOf } from '../kubernetes/node.ts';
import { requireFeature } from '../runner/features.ts';
import type { StoredInventory } from '../standins/apiserver/dashboard-calls.ts';
import { hasChromium, openTab, type TabContext, useTabs } from './browser.ts';
import { type ShownCluster, showCluster } from './cluster-scene.ts';
import { contrastsOf } from './contrast.ts';

interface Context extends TabContext {
  cluster: ShownCluster;
}

const SPEC = {
  numaNodes: 2,
  pfs: [
    { vfs: 8, driver: 'igb' },
    { vfs: 4, vfDrivers: { 3: null } },
  ],
};
const VF2 = '0000:10:02.2';
const owner = (pod: string) => ({
  pod,
  containerId: 'c'.repeat(64),
  ifname: 'net1',
  since: '2026-01-01T00:00:00Z',
});
const plain = await inventoryNamed('worker-3', SPEC);
const NODES = [
  await inventoryNamed('worker-1', SPEC, { [VF2]: owner('shop/web-0') }),
  await inventoryNamed('worker-10', SPEC, { [VF2]: owner('shop/web-10') }),
  await inventoryNamed('worker-2', SPEC, { [VF2]: owner('telco/upf-2'), '0000:91:02.0': owner('telco/upf-2') }),
  plain,
];
const taken = (name: string, pod: string) => inventoryNamed(name, SPEC, { [VF2]: owner(pod) });

const test = suite<Context>('dashboard in Chromium');

if (requireFeature('chromium', hasChromium)) {
  useTabs(
    test,
    async (context) => {
      context.cluster = await showCluster(NODES);
      return context.cluster.url;
    },
    async ({ cluster }) => {
      await cluster.close();
      assert.deepEqual(cluster.api.refused, []);
    },
  );

  const card = (tab: Page, name: string) => tab.locator(`.node[data-name="${name}"]`);
  const place = (tab: Page, name: string, address: string) =>
    card(tab, name).locator(`.place[data-address="${address}"]`);
  const open = (tab: Page, name: string) => card(tab, name).getByRole('button', { name, exact: true }).click();
  const details = async (tab: Page) => (await tab.locator('#details').textContent()) ?? '';
  const shownNodes = (tab: Page) =>
    tab.locator('.node:visible').evaluateAll((found) => found.map((node) => (node as HTMLElement).dataset.name));

  test('shows every node in the order that people count in, with its places, and the cluster in numbers', async ({
    tab,
  }) => {
    assert.equal(await tab.locator('#cluster').textContent(), 'test');
    assert.equal(await tab.title(), 'test · Berth');
    assert.deepEqual(await shownNodes(tab), ['worker-1', 'worker-2', 'worker-3', 'worker-10']);
    assert.equal(await card(tab, 'worker-2').locator('.place').count(), 12);
    assert.equal(await place(tab, 'worker-1', VF2).getAttribute('data-state'), 'taken');
    assert.match((await card(tab, 'worker-2').locator('header').first().textContent()) ?? '', /2 of 12 VFs taken/);
    const totals = (await tab.locator('#totals').textContent()) ?? '';
    assert.match(totals, /Nodes4.*NICs8.*VFs48.*berth\.dev\/vf4/);
    await tab.getByRole('button', { name: 'taken 4' }).waitFor();
  });

  test('findings of all nodes come once for each kind, the worst first, and lead to the device', async ({ tab }) => {
    const groups = await tab
      .locator('#findings > ol > li')
      .evaluateAll((found) => found.map((item) => item.dataset.severity));
    assert.deepEqual(
      groups,
      groups.toSorted((one, other) => (one === other ? 0 : one === 'warning' ? -1 : 1)),
    );
    const group = tab.locator('#findings summary', { hasText: 'vf-without-driver' });
    assert.match((await group.textContent()) ?? '', /4 nodes/);
    await group.click();
    const items = tab.locator('#findings details[open] li');
    assert.equal(await items.count(), 4);
    await items.nth(1).getByRole('button', { name: 'Show' }).click();
    assert.match(await details(tab), /eth1 · 0000:91:00\.0.*on worker-2/);
  });

  for (const [words, node, address] of [
    ['upf-2 91:02', 'worker-2', '0000:91:02.0'],
    ['worker-10 taken', 'worker-10', VF2],
    ['worker-3 0000:10:02.5', 'worker-3', '0000:10:02.5'],
    ['SHOP/WEB-10', 'worker-10', VF2],
  ] as const) {
    test(`finds ${JSON.stringify(words)} in the whole cluster`, async ({ tab }) => {
      await tab.keyboard.press('/');
      await tab.keyboard.type(words);
      assert.equal(await tab.locator('#matches').textContent(), '1 of 56');
      assert.deepEqual(await shownNodes(tab), [node]);
      await tab.keyboard.press('Enter');
      assert.equal(await place(tab, node, address).evaluate((found) => found === document.activeElement), true);
      assert.ok((await details(tab)).includes(address));
      await tab.keyboard.press('Escape');
      assert.equal((await shownNodes(tab)).length, 4);
    });
  }

  test('finds a VF by its MAC, own or set', async ({ tab }) => {
    await tab.locator('#search').fill('02:00:00:01:00:02 worker-2');
    assert.equal(await tab.locator('#matches').textContent(), '1 of 56');
    assert.deepEqual(await shownNodes(tab), ['worker-2']);
  });

  test('opens one node as deep as its object goes, says what that leaves out, and goes back', async ({ tab }) => {
    await open(tab, 'worker-2');
    assert.equal(new URL(tab.url()).hash, '#node=worker-2');
    assert.equal(await tab.locator('#one-title').textContent(), 'worker-2');
    assert.deepEqual(await tab.locator('#one .socket > h2').allTextContents(), ['NUMA node 0', 'NUMA node 1']);
    assert.equal(await tab.locator('#one .place').count(), 12);
    const facts = (await tab.locator('#facts').textContent()) ?? '';
    for (const words of ['1.2.3', '6.18.0-test', 'Ready', 'ResourcesRegistered', 'berth.dev/vf', 'does not tell'])
      assert.ok(facts.includes(words), facts);
    await tab.locator(`#one .place[data-address="${VF2}"]`).click();
    assert.match(await details(tab), /telco\/upf-2/);
    assert.match((await tab.locator('#findings-title').textContent()) ?? '', /^Findings \(5\)$/);
    await tab.goBack();
    await card(tab, 'worker-1').waitFor();
    await tab.goForward();
    await tab.locator('#one-title', { hasText: 'worker-2' }).waitFor();
    await tab.reload();
    await tab.locator('#one .place').first().waitFor();
    await tab.getByRole('button', { name: '← All nodes' }).click();
    await card(tab, 'worker-1').waitFor();
    assert.equal(new URL(tab.url()).hash, '');
  });

  test('scalable functions are places of their NIC, in the card and in the open node', async ({ cluster, tab }) => {
    const scalable = (pod: string) => [
      { name: 'mlx5_core.sf.4', sfnum: 88, state: 'taken', resource: 'berth.dev/sf', pod },
      { name: 'mlx5_core.sf.5', sfnum: 89, state: 'free', resource: 'berth.dev/sf' },
    ];
    const put = (functions: readonly object[]): void => {
      const { nics, ...status } = plain.status as { nics: readonly object[] };
      const [first, ...others] = nics;
      cluster.api.put({ ...plain, status: { ...status, nics: [{ ...first, scalable: functions }, ...others] } });
    };
    put(scalable('shop/sf-0'));
    await place(tab, 'worker-3', 'mlx5_core.sf.4').waitFor();
    assert.equal(await place(tab, 'worker-3', 'mlx5_core.sf.4').getAttribute('data-state'), 'taken');
    assert.match((await card(tab, 'worker-3').locator('header').first().textContent()) ?? '', /0 of 12 VFs taken/);
    assert.match((await tab.locator('#totals').textContent()) ?? '', /VFs48Scalable functions2/);
    await tab.locator('#search').fill('sf-0');
    assert.deepEqual(await shownNodes(tab), ['worker-3']);
    await tab.keyboard.press('Enter');
    assert.match(
      await details(tab),
      /^Scalable function 88 · mlx5_core\.sf\.4.*berth\.dev\/sf.*shop\/sf-0.*on worker-3/,
    );
    await tab.locator('#search').fill('');
    await open(tab, 'worker-3');
    await tab.locator('#picture .place[data-address="mlx5_core.sf.5"][data-state="free"]').waitFor();
    put(scalable('shop/sf-1').slice(0, 1));
    await tab.locator('#picture .place[data-address="mlx5_core.sf.5"]').waitFor({ state: 'detached' });
    assert.match(
      (await tab.locator('#picture .place[data-address="mlx5_core.sf.4"]').getAttribute('aria-label')) ?? '',
      /^Scalable function 88 mlx5_core\.sf\.4, taken, shop\/sf-1$/,
    );
  });

  test('a search in an open node goes on in the others', async ({ tab }) => {
    await open(tab, 'worker-3');
    await tab.locator('#search').fill('web-10');
    assert.equal(await tab.locator('#matches').textContent(), '0 of 14 here, 1 of 56 in the cluster');
    await tab.locator('#search').press('Enter');
    assert.equal(await tab.locator('#one-title').textContent(), 'worker-10');
    assert.match(await details(tab), /shop\/web-10/);
  });

  test('is used with the keyboard alone', async ({ tab }) => {
    await card(tab, 'worker-1').getByRole('button', { name: 'worker-1', exact: true }).focus();
    for (let step = 0; step < 4; step++) await tab.keyboard.press('ArrowRight');
    assert.match(await details(tab), /VF 2 .*shop\/web-0.*on worker-1/);
    await tab.keyboard.press('End');
    assert.match(await details(tab), /^VF 3 · 0000:91:02\.3.*on worker-10$/s);
    await tab.keyboard.press('Home');
    await tab.keyboard.press('Enter');
    assert.equal(await tab.locator('#one-title').textContent(), 'worker-1');
    await tab.keyboard.press('Escape');
    await tab.keyboard.press('Escape');
    await card(tab, 'worker-1').waitFor();
    const focused = await tab.evaluate(() => document.activeElement?.textContent);
    assert.equal(focused, 'worker-1', 'the focus is where it was');
  });

  test('Tab leads to the nodes and past them in one step each', async ({ tab }) => {
    const inNodes = () => tab.evaluate(() => document.activeElement?.closest('#nodes') !== null);
    await tab.locator('#state-unused').focus();
    await tab.keyboard.press('Tab');
    assert.equal(await tab.evaluate(() => document.activeElement?.textContent), 'worker-1');
    await tab.keyboard.press('Tab');
    assert.equal(await inNodes(), false);
    await place(tab, 'worker-2', VF2).click();
    await tab.keyboard.press('Tab');
    assert.equal(await inNodes(), false);
    await tab.keyboard.press('Shift+Tab');
    const back = await tab.evaluate(() => document.activeElement?.getAttribute('data-address'));
    assert.equal(back, VF2, 'back to where one was');
  });

  test('follows changes of one node, and touches only what changed', async ({ cluster, tab }) => {
    await place(tab, 'worker-3', VF2).evaluate((found) => {
      found.dataset.mark = 'kept';
    });
    cluster.api.put(await inventoryNamed('worker-3', SPEC, { '0000:10:02.0': owner('shop/new') }));
    await card(tab, 'worker-3').locator('.place[data-address="0000:10:02.0"][data-state="taken"]').waitFor();
    assert.equal(await place(tab, 'worker-3', VF2).getAttribute('data-mark'), 'kept');
    assert.match((await card(tab, 'worker-3').locator('header').first().textContent()) ?? '', /1 of 12 VFs taken/);
  });

  test('nodes come and go; who looks at one that goes is led back to the others', async ({ cluster, tab }) => {
    await place(tab, 'worker-10', VF2).click();
    cluster.api.put(await taken('worker-4', 'shop/four'));
    await card(tab, 'worker-4').waitFor();
    assert.equal(await place(tab, 'worker-10', VF2).evaluate((found) => found === document.activeElement), true);
    assert.match(await details(tab), /shop\/web-10/);
    assert.deepEqual(await shownNodes(tab), ['worker-1', 'worker-2', 'worker-3', 'worker-4', 'worker-10']);
    await open(tab, 'worker-4');
    cluster.api.remove('worker-4');
    await card(tab, 'worker-1').waitFor();
    assert.equal(await card(tab, 'worker-4').count(), 0);
  });

  test('an API server that goes away is told with time and remedy, and what was seen stays', async ({
    cluster,
    tab,
  }) => {
    cluster.api.may.list = cluster.api.may.watch = false;
    cluster.api.cutWatches();
    const trouble = tab.locator('#trouble');
    await trouble.waitFor();
    const words = (await trouble.textContent()) ?? '';
    for (const part of ['forbidden', '[api-server-refused]', 'deploy/dashboard/rbac.yaml', 'What is shown was so at'])
      assert.ok(words.includes(part), words);
    assert.match((await tab.locator('#connection').textContent()) ?? '', /^lost since /);
    assert.equal(await tab.locator('.node').count(), 4);
    assert.match(cluster.told.join(''), /\[api-server-refused\]\n {2}Let somebody bind/);
    cluster.api.may.list = cluster.api.may.watch = true;
    await tab.locator('#connection[data-state="live"]').waitFor();
    await trouble.waitFor({ state: 'hidden' });
  });

  test('says when the dashboard itself is gone', async ({ cluster, tab }) => {
    await cluster.stop();
    await tab.locator('#connection[data-state="lost"]').waitFor();
    assert.match((await tab.locator('#connection').textContent()) ?? '', /what is shown is old/);
  });

  test('an object that somebody edited is shown as damaged, and nothing in it is markup', async ({ cluster, tab }) => {
    const evil = '<img src=x onerror="document.title=1">';
    const broken = structuredClone(plain) as { status: { nics: Record<string, unknown>[]; agentVersion: unknown } };
    broken.status.agentVersion = evil;
    Object.assign(broken.status.nics[0] ?? {}, { name: evil, state: 'mine', speedMbps: 'fast' });
    broken.status.nics.push({ address: evil });
    cluster.api.put(broken as unknown as StoredInventory);
    await card(tab, 'worker-3').getByText('object damaged').waitFor();
    await open(tab, 'worker-3');
    const facts = (await tab.locator('#facts').textContent()) ?? '';
    for (const words of ['status.nics[0].state is none of', 'speedMbps is a string', 'status.nics[2].address', evil])
      assert.ok(facts.includes(words), facts);
    assert.equal(await tab.locator('img').count(), 0);
    assert.equal(await tab.title(), 'test · Berth');
  });

  test('a cluster without inventories says so, and what to do', async ({ browser }) => {
    const cluster = await showCluster([]);
    const { tab, problems } = await openTab(browser);
    await tab.goto(cluster.url);
    await tab.getByText('No agent has written an inventory').waitFor();
    await tab.close();
    await cluster.close();
    assert.deepEqual(problems, []);
  });

  for (const scheme of ['light', 'dark'] as const) {
    test(`text can be read in ${scheme}`, async ({ browser, cluster }) => {
      const { tab } = await openTab(browser, { colorScheme: scheme });
      await tab.goto(cluster.url);
      await tab.locator('.node .place').first().waitFor();
      const selectors = [
        'h1',
        '#connection',
        '.node header span',
        '.nic header .good',
        '#totals dt',
        'summary',
        'footer',
      ];
      const ratios = await contrastsOf(tab, [...selectors, '.place[data-state="taken"][data-address]']);
      assert.deepEqual(
        ratios.filter(([, ratio]) => ratio < 4.5),
        [],
      );
      await tab.close();
    });
  }

  test('fits a phone: nothing is wider than the screen, and places can be touched', async ({ browser, cluster }) => {
    const { tab } = await openTab(browser, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await tab.goto(cluster.url);
    await tab.locator('.node .place').first().waitFor();
    assert.ok((await tab.evaluate(() => document.documentElement.scrollWidth)) <= 360);
    const box = await place(tab, 'worker-1', VF2).boundingBox();
    assert.ok((box?.width ?? 0) >= 30 && (box?.height ?? 0) >= 30, JSON.stringify(box));
    await place(tab, 'worker-1', VF2).tap();
    assert.match(await details(tab), /shop\/web-0/);
    const panel = await tab.locator('#details').boundingBox();
    assert.ok(panel !== null && panel.y >= 0 && panel.y + panel.height <= 741, 'it is on the screen');
    await tab.locator('#details').getByRole('button', { name: 'Close' }).tap();
    assert.equal(await tab.locator('#details dl').count(), 0);
    await tab.getByRole('button', { name: 'Findings' }).tap();
    assert.equal(
      await tab.locator('#findings-title').evaluate((title) => title.getBoundingClientRect().top < 740),
      true,
    );
    await open(tab, 'worker-1');
    assert.ok((await tab.evaluate(() => document.documentElement.scrollWidth)) <= 360);
    await tab.close();
  });

  test("shows the lab's machine as its agent would write it", async ({ browser }) => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-lab-node-'));
    execFileSync('tar', ['-xzf', join(import.meta.dirname, 'fixtures/lab-node.tar.gz'), '-C', folder]);
    const inventory = await createNodeReader({ root: folder }).read();
    rmSync(folder, { recursive: true });
    const cluster = await showCluster([objectOf('lab', viewOf(inventory)), plain]);
    const { tab, problems } = await openTab(browser);
    await tab.goto(cluster.url);
    await card(tab, 'lab').locator('.place').first().waitFor();
    assert.equal(await card(tab, 'lab').locator('.place').count(), 12);
    assert.equal(await card(tab, 'lab').locator('.place[data-state="unused"]').count(), 1);
    await tab.locator('#search').fill('lab vf-vfio');
    assert.equal(await tab.locator('#matches').textContent(), '1 of 28');
    await tab.locator('#search').fill('');
    await open(tab, 'lab');
    await tab.locator('#one').getByRole('button', { name: 'eth0', exact: true }).click();
    for (const words of ['igb', '6 of 7', 'up, 1 Gbit/s']) assert.ok((await details(tab)).includes(words));
    await tab.locator('#findings li', { hasText: 'VF 4 without a driver' }).waitFor();
    await tab.close();
    await cluster.close();
    assert.deepEqual(problems, []);
  });

  test('a hundred nodes of 64 VFs and one of 2,048 are drawn when they come near, and each is found', async ({
    browser,
  }) => {
    const one = await inventoryNamed('n', { pfs: [{ vfs: 32 }, { vfs: 32 }] });
    const large = await inventoryNamed('zz', { pfs: Array.from({ length: 16 }, () => ({ vfs: 128 })) });
    const many = Array.from({ length: 100 }, (_, index) => ({ ...one, metadata: { name: `n-${index}` } }));
    const cluster = await showCluster([...many, large]);
    const { tab, problems } = await openTab(browser);
    await tab.goto(cluster.url);
    await tab.locator('#connection[data-state="live"]').waitFor();
    assert.equal(await tab.locator('.node').count(), 101);
    await card(tab, 'n-0').locator('.place').first().waitFor();
    assert.ok((await tab.locator('#nodes .place').count()) < 6400, 'what is far away is not drawn yet');
    await card(tab, 'n-99').scrollIntoViewIfNeeded();
    await card(tab, 'n-99').locator('.place').first().waitFor();
    await tab.getByRole('button', { name: /^free 8,?448$/ }).waitFor();
    await open(tab, 'zz');
    assert.equal(await tab.locator('#one .place').count(), 2048);
    await tab.close();
    await cluster.close();
    assert.deepEqual(problems, []);
  });
}

test.run();
