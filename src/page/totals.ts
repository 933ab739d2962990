/** The cluster in numbers. */
import { element } from './dom.ts';
import { inOrder, type ShownNode } from './node-cards.ts';
import { isNic, isScalable, isVf } from './shown.ts';

/** Nodes, devices and resources, over all nodes. */
export function renderTotals(nodes: ReadonlyMap<string, ShownNode>, nameless: number): readonly Node[] {
  const all = [...nodes.values()];
  const devices = all.flatMap((node) => [...node.devices.values()]);
  const notReady = all.filter(({ facts }) => facts.conditions.some(({ status }) => status === 'False')).length;
  const damaged = all.filter(({ facts }) => facts.damage.length > 0).length;
  const rows: readonly (readonly [string, number])[] = [
    ['Nodes', all.length],
    ['with a condition that fails', notReady],
    ['with a damaged object', damaged],
    ['Objects without a usable name', nameless],
    ['NICs', devices.filter(isNic).length],
    ['VFs', devices.filter(isVf).length],
    ['Scalable functions', devices.filter(isScalable).length],
  ];
  const list = element('dl');
  for (const [name, count] of rows) {
    if (count === 0 && name !== 'Nodes') continue;
    list.append(element('dt', {}, name), element('dd', {}, count.toLocaleString()));
  }
  return [list, ...resourcesOf(nodes)];
}

function resourcesOf(nodes: ReadonlyMap<string, ShownNode>): readonly Node[] {
  const sums = new Map<string, { nodes: number; devices: number; healthy: number }>();
  for (const { facts } of inOrder(nodes)) {
    for (const { devices, healthy, name } of facts.resources) {
      const sum = sums.get(name) ?? { nodes: 0, devices: 0, healthy: 0 };
      sums.set(name, { nodes: sum.nodes + 1, devices: sum.devices + devices, healthy: sum.healthy + healthy });
    }
  }
  if (sums.size === 0) return [];
  const cells = (name: 'td' | 'th', words: readonly string[]) =>
    element('tr', {}, ...words.map((word) => element(name, {}, word)));
  const rows = [...sums].map(([name, sum]) =>
    cells('td', [name, String(sum.nodes), `${sum.healthy.toLocaleString()} of ${sum.devices.toLocaleString()}`]),
  );
  return [
    element(
      'table',
      {},
      element('thead', {}, cells('th', ['Resource', 'Nodes', 'Healthy'])),
      element('tbody', {}, ...rows),
    ),
  ];
}
