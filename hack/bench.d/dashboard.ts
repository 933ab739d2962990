/**
 * The dashboard's part of `hack/bench page`: 100 nodes with 64 VFs each and one with 2,048, from the
 * stand-in for the API server to Chromium, everything on the same cores.
 */
import type { Browser, Page } from 'playwright-core';
import { inventoryNamed } from '../../test/kubernetes/inventories.ts';
import { openTab } from '../../test/page/browser.ts';
import { type ShownCluster, showCluster } from '../../test/page/cluster-scene.ts';
import type { StoredInventory } from '../../test/standins/apiserver/dashboard-calls.ts';
import type { Bench } from './bench.ts';
import { type Measurement, measurement } from './measurement.ts';

const NODES = 100;
const LARGE = 'node-with-2048';
const OWNER = { containerId: 'c', ifname: 'net1', since: '2026-01-01T00:00:00Z', pod: 'shop/web-0' };

/** The object of one node, with its first so many VFs in pods. */
type Furnished = (taken: number) => Promise<StoredInventory>;

export async function benchDashboard(bench: Bench, browser: Browser, tabs: number): Promise<Measurement[]> {
  bench.say(`page: ${tabs} tabs of the dashboard with ${NODES} nodes of 64 VFs and one of 2,048`);
  const usual = furnished('node', [32, 32]);
  const large = furnished(
    LARGE,
    Array.from({ length: 16 }, () => 128),
  );
  const first = await usual(8);
  const named = (name: string, object: StoredInventory): StoredInventory => ({ ...object, metadata: { name } });
  const objects = Array.from({ length: NODES }, (_, index) => named(`a-${index}`, first));
  const changed = await Promise.all(Array.from({ length: tabs }, (_, run) => usual(9 + run)));
  const changedLarge = await Promise.all(Array.from({ length: tabs }, (_, run) => large(run + 1)));
  const cluster = await showCluster([...objects, await large(0)]);
  const seen = { paint: [], places: [], update: [], search: [], open: [], large: [] } as Record<string, number[]>;
  const note = (name: string, ms: number): void => void seen[name]?.push(ms);
  try {
    for (let run = 0; run < tabs; run++) {
      const { tab } = await openTab(browser);
      await oneTab(tab, cluster, note, {
        usual: named('a-0', changed[run] ?? first),
        large: changedLarge[run] ?? first,
        run,
      });
      await tab.close();
    }
  } finally {
    await cluster.close();
  }
  return Object.entries(seen).map(([name, times]) => measurement(`dashboard.${name}`, 'ms', { berth: times }));
}

function furnished(name: string, vfs: readonly number[]): Furnished {
  const spec = { numaNodes: 2, pfs: vfs.map((count) => ({ vfs: count })) };
  const plain = inventoryNamed(name, spec);
  return async (taken) => {
    const { status } = (await plain) as { readonly status: { nics: { vfs: { address: string }[] }[] } };
    const addresses = status.nics.flatMap((nic) => nic.vfs.map(({ address }) => address)).slice(0, taken);
    return await inventoryNamed(name, spec, Object.fromEntries(addresses.map((address) => [address, OWNER])));
  };
}

async function oneTab(
  tab: Page,
  { api, url }: ShownCluster,
  note: (name: string, ms: number) => void,
  next: { readonly usual: StoredInventory; readonly large: StoredInventory; readonly run: number },
): Promise<void> {
  await tab.goto(url);
  await tab.locator('body[data-painted]').waitFor();
  await tab.locator('.node[data-name="a-0"] .place').first().waitFor();
  const [paintMs, placesMs] = (await tab.evaluate(
    "[performance.getEntriesByName('first-contentful-paint')[0].startTime, Number(document.body.dataset.painted)]",
  )) as [number, number];
  note('paint', paintMs);
  note('places', placesMs);
  note('update', await untilTaken(tab, '.node[data-name="a-0"]', () => api.put(next.usual)));
  note(
    'search',
    (await tab.evaluate(`new Promise((resolve) => {
      const search = document.getElementById('search');
      search.value = 'a-77 free';
      const begin = performance.now();
      search.dispatchEvent(new Event('input'));
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin)));
    })`)) as number,
  );
  await tab.keyboard.press('Escape');
  note(
    'open',
    (await tab.evaluate(`new Promise((resolve) => {
      const begin = performance.now();
      document.querySelector('[data-node="${LARGE}"]').click();
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin)));
    })`)) as number,
  );
  note('large', await untilTaken(tab, '#picture', () => api.put(next.large)));
}

/** From `change` to the frame in which one more place below `selector` is taken, on the page's clock. */
async function untilTaken(tab: Page, selector: string, change: () => void): Promise<number> {
  const seen = tab.evaluate<number>(`new Promise((resolve) => {
    new MutationObserver((_, observer) => {
      observer.disconnect();
      requestAnimationFrame(() => resolve(performance.timeOrigin + performance.now()));
    }).observe(document.querySelector('${selector}'), { attributes: true, attributeFilter: ['data-state'], subtree: true });
  })`);
  // The observer is there when an evaluation that was asked for later has answered.
  await tab.evaluate('0');
  const begin = performance.timeOrigin + performance.now();
  change();
  return (await seen) - begin;
}
