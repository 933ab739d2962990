/**
 * The page of the cluster: all nodes as their objects tell of them, or one of them. It shows what the
 * dashboard's stream says and asks for nothing else; to debug, compare with
 * `curl -N -H "Authorization: Bearer TOKEN" http://127.0.0.1:9475/v1/stream`.
 */
import type {
  ClusterChange,
  ClusterConnection,
  ClusterIdentity,
  ClusterNodeFacts,
  SparseDevice,
} from '../engine/cluster/document.ts';
import { preparePageAccess } from './access.ts';
import { showFindings } from './cluster-findings.ts';
import { renderDetails } from './details.ts';
import { byId, element } from './dom.ts';
import { neighbour, prepareKeys } from './keys.ts';
import { type Filter, matches } from './matching.ts';
import { inOrder, NodeCards, type ShownNode } from './node-cards.ts';
import { localTime, renderNodeFacts } from './node-facts.ts';
import { Picture } from './picture.ts';
import { applyShown, shownChange, shownDevices } from './shown.ts';
import { prepareStates, showStates } from './states.ts';
import { follow } from './stream.ts';
import { renderTotals } from './totals.ts';

interface Selection {
  readonly node: string;
  readonly address: string;
}

const cards = new NodeCards(byId('nodes'));
const picture = new Picture(byId('picture'));
const search = byId<HTMLInputElement>('search');
const nodes = new Map<string, ShownNode>();
let nameless = 0;
let standing: ClusterConnection = { state: 'connecting', since: '' };
let filter: Filter = { text: '', state: undefined };
let selected: Selection | undefined;
/** The node that is shown alone. */
let open: string | undefined;

function showWhole(told: readonly ShownNode[]): void {
  nodes.clear();
  for (const node of told) nodes.set(node.facts.name, node);
  byId('view').hidden = false;
  drawCards();
  openNode(openInAddress(), false);
  document.body.dataset.painted ??= String(performance.now());
}

function showChange({ connection, nameless: unnamed, nodes: changed = {} }: ClusterChange): void {
  nameless = unnamed ?? nameless;
  if (connection !== undefined) showStanding(connection);
  let isOther = unnamed !== undefined;
  let findingsDiffer = false;
  for (const [name, change] of Object.entries(changed)) {
    const before = nodes.get(name);
    if (change === null) {
      nodes.delete(name);
      isOther = findingsDiffer = true;
      continue;
    }
    const { devices = {}, facts } = change;
    if (before === undefined) {
      if (facts !== undefined) {
        const present = Object.values(devices).filter((device) => device !== null);
        nodes.set(name, { facts, devices: shownDevices(present) });
      }
      isOther = findingsDiffer = true;
      continue;
    }
    findingsDiffer ||= facts !== undefined && !isSameText(before.facts.findings, facts.findings);
    if (facts !== undefined) before.facts = facts;
    const shown = shownChange(devices, before.devices);
    applyShown(before.devices, shown);
    cards.update(name, shown);
    if (name === open && !picture.update(shown)) picture.draw(before.devices);
  }
  if (isOther) drawCards();
  if (open !== undefined && !nodes.has(open)) openNode(undefined, true);
  showAround(findingsDiffer);
}

function drawCards(): void {
  const nothing =
    standing.state === 'live'
      ? 'No agent has written an inventory to this cluster: apply deploy/components/cluster-inventory, or start the agents with --publish-inventory.'
      : 'Nothing was seen of the cluster yet.';
  cards.draw(inOrder(nodes), nothing);
}

/** Everything but the pictures. */
function showAround(findingsDiffer: boolean): void {
  const node = open === undefined ? undefined : nodes.get(open);
  if (node !== undefined) byId('facts').replaceChildren(...renderNodeFacts(node.facts));
  byId('totals')
    .querySelector('div')
    ?.replaceChildren(...renderTotals(nodes, nameless));
  if (findingsDiffer) showFindings(nodes, node);
  showFiltered();
  select(
    selected !== undefined && nodes.get(selected.node)?.devices.has(selected.address) === true ? selected : undefined,
  );
}

function showFiltered(): void {
  const isFiltered = filter.text.trim() !== '' || filter.state !== undefined;
  let here = 0;
  let all = 0;
  let everything = 0;
  for (const [name, { devices }] of nodes) {
    everything += devices.size;
    if (!isFiltered) continue;
    const found = [...devices.values()].reduce((sum, device) => sum + (matches(device, filter, name) ? 1 : 0), 0);
    all += found;
    if (name === open) here = found;
  }
  const node = open === undefined ? undefined : nodes.get(open);
  const ofAll = `${all.toLocaleString()} of ${everything.toLocaleString()}`;
  byId('matches').textContent = !isFiltered
    ? ''
    : node === undefined
      ? ofAll
      : `${here} of ${node.devices.size} here, ${ofAll} in the cluster`;
  if (node === undefined) {
    cards.show((name, device) => matches(device, filter, name), isFiltered);
  } else {
    picture.show((address) => {
      const device = node.devices.get(address);
      return device === undefined || matches(device, filter, node.facts.name);
    });
  }
  showStates(
    node === undefined ? [...nodes.values()].flatMap(({ devices }) => [...devices.values()]) : node.devices.values(),
    filter.state,
  );
}

function select(wanted: Selection | undefined): void {
  selected = wanted;
  cards.select(wanted?.node, wanted?.address);
  picture.select(wanted?.node === open ? wanted?.address : undefined);
  const device = wanted === undefined ? undefined : nodes.get(wanted.node)?.devices.get(wanted.address);
  if (wanted === undefined || device === undefined) {
    byId('details').replaceChildren(
      element('p', { class: 'faint' }, 'Select a NIC or a place, or open a node by its name.'),
    );
    return;
  }
  const on = element('p', {}, 'on ', element('button', { type: 'button', 'data-node': wanted.node }, wanted.node));
  byId('details').replaceChildren(...renderDetails(device), ...(wanted.node === open ? [] : [on]));
}

/** One node alone, or all of them. What is not there is all of them. */
function openNode(name: string | undefined, isNew: boolean): void {
  const before = open;
  const node = name === undefined ? undefined : nodes.get(name);
  open = node?.facts.name;
  if (isNew && open !== before) {
    history.pushState(null, '', open === undefined ? location.pathname : `#node=${encodeURIComponent(open)}`);
  }
  byId('nodes').hidden = node !== undefined;
  byId('one').hidden = node === undefined;
  byId('facts').hidden = node === undefined;
  byId('totals').hidden = node !== undefined;
  byId('one-title').textContent = node?.facts.name ?? '';
  if (node === undefined) picture.draw(new Map());
  else picture.draw(node.devices);
  if (open !== before) scrollTo(0, 0);
  showAround(true);
  if (isNew && node !== undefined) byId('back').focus();
  else if (isNew && before !== undefined) cards.focus(before, undefined);
}

function openInAddress(): string | undefined {
  return new URLSearchParams(location.hash.slice(1)).get('node') ?? undefined;
}

/** To a device wherever it is: in the open node, or in the card of another. */
function show(wanted: Selection): void {
  if (open !== undefined && wanted.node !== open) openNode(wanted.node, true);
  select(wanted);
  if (open === undefined) cards.focus(wanted.node, wanted.address);
  else picture.focus(wanted.address);
}

/** The first device that matches: of the open node, then of any. */
function firstMatch(): Selection | undefined {
  const here = open === undefined ? undefined : nodes.get(open);
  for (const { devices, facts } of [...(here === undefined ? [] : [here]), ...inOrder(nodes)]) {
    const found = [...devices.values()].find((device) => matches(device, filter, facts.name));
    if (found !== undefined) return { node: facts.name, address: found.address };
  }
  return undefined;
}

function onClick({ target }: MouseEvent): void {
  if (!(target instanceof Element)) return;
  const { on, show: wanted } = target.closest<HTMLElement>('[data-show]')?.dataset ?? {};
  const node = target.closest<HTMLElement>('[data-node]')?.dataset.node;
  const address = target.closest<HTMLElement>('[data-address]')?.dataset.address;
  if (target.closest('[data-close]') !== null) select(undefined);
  else if (wanted !== undefined && on !== undefined) show({ node: on, address: wanted });
  else if (node !== undefined) openNode(node, true);
  else if (address !== undefined) selectAt(target, address);
}

function selectAt(target: Element, address: string): void {
  const node = target.closest<HTMLElement>('.node')?.dataset.name ?? open;
  if (node !== undefined) select({ node, address });
}

/** How the dashboard stands with the API server; this page's own connection comes before it. */
function showStanding(connection: ClusterConnection): void {
  const before = standing.state;
  standing = connection;
  const { problem, seenAt, since, state } = connection;
  const shown = byId('connection');
  shown.dataset.state = state;
  shown.textContent =
    state === 'live' ? 'live' : state === 'lost' ? `lost since ${localTime(since)}` : 'connecting to the API server';
  const trouble = byId('trouble');
  trouble.hidden = problem === undefined;
  if (problem !== undefined) {
    const old = seenAt === undefined ? 'Nothing was seen yet.' : `What is shown was so at ${localTime(seenAt)}.`;
    trouble.replaceChildren(
      element('p', {}, element('strong', {}, problem.message), ` [${problem.reason}]`),
      element('p', {}, `${problem.remedy} ${old}`),
    );
  }
  if (before !== state && nodes.size === 0) drawCards();
}

function showOwnConnection(state: string, why: string): void {
  if (state === 'live') {
    showStanding(standing);
    return;
  }
  const shown = byId('connection');
  shown.dataset.state = state;
  shown.textContent = state === 'lost' ? `lost: ${why}; what is shown is old` : why;
}

/** The dashboard and this page are of one release, so its events are what their names say. */
function start(token: string): void {
  let told: ShownNode[] = [];
  const listener = {
    portion(name: string, data: unknown) {
      if (name === 'cluster') {
        const {
          connection,
          identity,
          nameless: unnamed,
        } = data as {
          readonly identity: ClusterIdentity;
          readonly connection: ClusterConnection;
          readonly nameless: number;
        };
        told = [];
        nameless = unnamed;
        byId('cluster').textContent = identity.context;
        byId('cluster').title = identity.server;
        document.title = `${identity.context} · Berth`;
        showStanding(connection);
      } else if (name === 'nodes') {
        const entries = data as readonly {
          readonly facts: ClusterNodeFacts;
          readonly devices: readonly SparseDevice[];
        }[];
        told.push(
          ...entries.map(({ devices, facts }) => ({
            facts,
            devices: shownDevices(devices),
          })),
        );
      }
    },
    ready: () => showWhole(told),
    change: (data: unknown) => showChange(data as ClusterChange),
    connection: showOwnConnection,
    refused: () => ask(),
  };
  follow(token, 'the dashboard', listener).catch((error: unknown) => {
    showOwnConnection('lost', `the page has a bug (${String(error)})`);
  });
}

function isSameText(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

prepareStates((state) => {
  filter = { ...filter, state: filter.state === state ? undefined : state };
  showFiltered();
});
prepareKeys({
  first() {
    const first = firstMatch();
    if (first !== undefined) show(first);
  },
  clear() {
    const wasClear = filter.text === '' && filter.state === undefined && selected === undefined;
    search.value = '';
    filter = { text: '', state: undefined };
    if (wasClear && open !== undefined) openNode(undefined, true);
    else {
      showFiltered();
      select(undefined);
    }
  },
  move: (from, key) => neighbour(byId(open === undefined ? 'nodes' : 'picture'), from, key),
  moved: (to) => {
    if (to.dataset.address !== undefined) selectAt(to, to.dataset.address);
  },
});
document.addEventListener('click', onClick);
byId('to-findings').addEventListener('click', () => byId('findings').scrollIntoView());
byId('back').addEventListener('click', () => openNode(undefined, true));
addEventListener('popstate', () => openNode(openInAddress(), false));
search.addEventListener('input', () => {
  filter = { ...filter, text: search.value };
  showFiltered();
});
const ask = preparePageAccess(start);
