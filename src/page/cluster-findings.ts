/** Findings of many nodes: one entry for each kind, the worst first, which opens to the nodes that have it. */
import type { Finding } from '../engine/inventory/model.ts';
import { byId, element } from './dom.ts';
import { renderFinding } from './findings.ts';
import { inOrder, type ShownNode } from './node-cards.ts';

const SEVERITIES: readonly Finding['severity'][] = ['error', 'warning', 'info'];
/** More are counted: nobody reads them here. */
const MOST_SHOWN = 200;

interface Group {
  readonly id: string;
  readonly severity: Finding['severity'];
  readonly found: (readonly [node: ShownNode, finding: Finding])[];
}

const opened = new Set<string>();

/** Of all nodes, or of one with its findings one by one. */
export function showFindings(nodes: ReadonlyMap<string, ShownNode>, open: ShownNode | undefined): void {
  const list = byId('findings').querySelector('ol');
  const total = [...nodes.values()].reduce((sum, { facts }) => sum + facts.findingsTotal, 0);
  byId('findings-title').textContent = `Findings (${open?.facts.findingsTotal ?? total})`;
  const items = open === undefined ? groupsOf(nodes).map(renderGroup) : ofNode(open);
  const nothing = element(
    'li',
    {},
    open === undefined ? 'Nothing to say about these nodes.' : 'Nothing to say about this node.',
  );
  list?.replaceChildren(...(items.length === 0 ? [nothing] : items));
}

function ofNode(node: ShownNode): readonly HTMLLIElement[] {
  const { findings, findingsTotal } = node.facts;
  const items = bySeverity(findings).map((finding) => renderFinding(finding, leadTo(node, finding)));
  return [...items, ...more(findingsTotal - findings.length)];
}

function bySeverity(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted((one, other) => SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity));
}

function groupsOf(nodes: ReadonlyMap<string, ShownNode>): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const node of inOrder(nodes)) {
    for (const finding of node.facts.findings) {
      const key = `${finding.severity} ${finding.id}`;
      const group = groups.get(key) ?? { id: finding.id, severity: finding.severity, found: [] };
      groups.set(key, group);
      group.found.push([node, finding]);
    }
  }
  const rank = ({ severity }: Group): number => SEVERITIES.indexOf(severity);
  return [...groups.values()].sort((one, other) => rank(one) - rank(other) || other.found.length - one.found.length);
}

function renderGroup({ found, id, severity }: Group): HTMLLIElement {
  const key = `${severity} ${id}`;
  const on = new Set(found.map(([node]) => node)).size;
  const inner = element('ol');
  const where = on === 1 ? (found[0]?.[0].facts.name ?? '') : `${on} nodes`;
  const details = element(
    'details',
    { open: opened.has(key) },
    element('summary', {}, element('strong', {}, severity), ` ${id} `, element('span', { class: 'faint' }, where)),
    inner,
  );
  const fill = (): void => {
    if (!details.open || inner.childElementCount > 0) return;
    const shown = found.slice(0, MOST_SHOWN).map(([node, finding]) => {
      const item = renderFinding(finding, leadTo(node, finding));
      item.prepend(
        element('p', {}, element('button', { type: 'button', 'data-node': node.facts.name }, node.facts.name)),
      );
      return item;
    });
    inner.replaceChildren(...shown, ...more(found.length - shown.length));
  };
  details.addEventListener('toggle', () => {
    if (details.open) opened.add(key);
    else opened.delete(key);
    fill();
  });
  fill();
  return element('li', { 'data-severity': severity }, details);
}

function leadTo({ devices, facts }: ShownNode, { subject }: Finding): Readonly<Record<string, string>> | undefined {
  return devices.has(subject) ? { 'data-show': subject, 'data-on': facts.name } : undefined;
}

function more(count: number): readonly HTMLLIElement[] {
  return count <= 0 ? [] : [element('li', { class: 'faint' }, `and ${count} more`)];
}
