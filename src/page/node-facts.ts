/** What the object of a node says besides its devices, and what it does not say. */
import type { ClusterNodeFacts } from '../engine/cluster/document.ts';
import { element } from './dom.ts';

const NOT_TOLD =
  'The object does not tell: containers and since when they have a device, other names and addresses of interfaces, settings of VFs, IOMMU groups, PCIe links, queues, counters, virtual links and accelerators. The page of the node does: berth page.';

/** For the panel beside the picture of an open node. */
export function renderNodeFacts(facts: ClusterNodeFacts): readonly Node[] {
  return [
    element('h2', {}, facts.name),
    ...damageOf(facts),
    ...writersOf(facts),
    basicsOf(facts),
    ...conditionsOf(facts),
    ...resourcesOf(facts),
    element('p', { class: 'faint' }, NOT_TOLD),
  ];
}

function damageOf({ damage }: ClusterNodeFacts): readonly Node[] {
  if (damage.length === 0) return [];
  return [
    element(
      'p',
      { class: 'bad' },
      'What of the object cannot be used is left out. Somebody edited it, or another release wrote it; the next change of the node writes all of it anew.',
    ),
    element('ul', {}, ...damage.map((words) => element('li', {}, words))),
  ];
}

function writersOf({ alsoWrittenBy }: ClusterNodeFacts): readonly Node[] {
  if (alsoWrittenBy.length === 0) return [];
  const who = alsoWrittenBy.map(({ at, manager }) => (at === undefined ? manager : `${manager} (${localTime(at)})`));
  return [element('p', { class: 'bad' }, `Not only the agent wrote it, but also ${who.join(', ')}.`)];
}

function basicsOf({ agentVersion, node, writtenAt }: ClusterNodeFacts): Node {
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['Written', writtenAt === undefined ? undefined : localTime(writtenAt)],
    ['Agent', agentVersion],
    ['Machine', node.machine],
    ['Kernel', [node.kernel, node.architecture].filter(Boolean).join(', ')],
    ['NUMA nodes', node.numaNodes?.join(', ')],
    ['IOMMU', node.iommu === undefined ? undefined : node.iommu ? 'on' : 'off'],
  ];
  const list = element('dl');
  for (const [name, value] of rows) {
    if (value === undefined || value === '') continue;
    list.append(element('dt', {}, name), element('dd', {}, value));
  }
  return list;
}

function conditionsOf({ conditions }: ClusterNodeFacts): readonly Node[] {
  if (conditions.length === 0) return [];
  const items = conditions.map(({ lastTransitionTime, message, reason, status, type }) =>
    element(
      'li',
      { 'data-severity': status === 'False' ? 'error' : undefined },
      element('p', {}, element('strong', {}, type), ` ${status}: ${reason}`),
      element(
        'p',
        { class: 'faint' },
        `${message}${lastTransitionTime === '' ? '' : ` (since ${localTime(lastTransitionTime)})`}`,
      ),
    ),
  );
  return [element('h3', {}, 'Conditions'), element('ul', { class: 'conditions' }, ...items)];
}

function resourcesOf({ resources }: ClusterNodeFacts): readonly Node[] {
  if (resources.length === 0) return [];
  const rows = resources.map(({ devices, healthy, name, reasons, registered }) =>
    element(
      'tr',
      {},
      element('td', {}, name),
      element('td', {}, `${healthy} of ${devices}`),
      element('td', {}, [registered ? '' : 'not registered', ...reasons].filter(Boolean).join('; ')),
    ),
  );
  const head = element(
    'thead',
    {},
    element('tr', {}, ...['Resource', 'Healthy', ''].map((words) => element('th', {}, words))),
  );
  return [element('table', {}, head, element('tbody', {}, ...rows))];
}

/** As people here write it; as it is told when it is no time. */
export function localTime(text: string): string {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toLocaleString();
}
