/**
 * The page of one node. It shows what the agent's stream says and asks for nothing else; to debug,
 * compare with `curl -N --unix-socket /run/berth/api.sock http://berth/v1/stream`.
 */
import type { FeedChange, FeedDevice, FeedDocument } from '../engine/feed/document.ts';
import { preparePageAccess } from './access.ts';
import { renderDetails } from './details.ts';
import { byId, element } from './dom.ts';
import { renderFinding } from './findings.ts';
import { neighbour, prepareKeys } from './keys.ts';
import { type Filter, matches } from './matching.ts';
import { Picture } from './picture.ts';
import { applyShown, type ShownDevice, shownChange, shownDevices } from './shown.ts';
import { prepareStates, showStates } from './states.ts';
import { follow } from './stream.ts';

const picture = new Picture(byId('picture'));
const search = byId<HTMLInputElement>('search');
let devices = new Map<string, ShownDevice>();
let selected: string | undefined;
let filter: Filter = { text: '', state: undefined };

function showWhole(document_: FeedDocument): void {
  devices = shownDevices(document_.devices.values());
  byId('node').textContent = document_.node.name;
  document.title = `${document_.node.name} · Berth`;
  byId('view').hidden = false;
  picture.draw(devices);
  showFindings(document_.findings);
  showVirtual(document_.virtual);
  showFiltered();
  select(selected !== undefined && devices.has(selected) ? selected : undefined);
  document.body.dataset.painted ??= String(performance.now());
}

function showChange({ devices: changed = {}, findings, node, virtual }: FeedChange): void {
  const shown = shownChange(changed, devices);
  applyShown(devices, shown);
  if (!picture.update(shown)) picture.draw(devices);
  if (node !== undefined) byId('node').textContent = node.name;
  if (findings !== undefined) showFindings(findings);
  if (virtual !== undefined) showVirtual(virtual);
  showFiltered();
  select(selected !== undefined && devices.has(selected) ? selected : undefined);
}

function showFindings(findings: FeedDocument['findings']): void {
  byId('findings-title').textContent = `Findings (${findings.length})`;
  const items = findings.map((finding) =>
    renderFinding(finding, devices.has(finding.subject) ? { 'data-show': finding.subject } : undefined),
  );
  const list = byId('findings').querySelector('ol');
  list?.replaceChildren(...(items.length === 0 ? [element('li', {}, 'Nothing to say about this node.')] : items));
}

function showVirtual(links: FeedDocument['virtual']): void {
  const shown = links.filter((link) => link.kind !== 'loopback');
  byId('virtual').hidden = shown.length === 0;
  const rows = shown.map((link) => {
    const state = link.adminUp === false ? 'down' : (link.operstate ?? '');
    const cells = [link.ifname, link.kind, link.lowers.join(', '), state];
    return element('tr', {}, ...cells.map((cell) => element('td', {}, cell)));
  });
  byId('virtual')
    .querySelector('tbody')
    ?.replaceChildren(...rows);
}

function showFiltered(): void {
  const shown = new Set(
    [...devices.values()].filter((device) => matches(device, filter)).map(({ address }) => String(address)),
  );
  picture.show((address) => shown.has(address));
  const isFiltered = filter.text !== '' || filter.state !== undefined;
  byId('matches').textContent = isFiltered ? `${shown.size} of ${devices.size}` : '';
  showStates(devices.values(), filter.state);
}

function select(address: string | undefined): void {
  selected = address;
  picture.select(address);
  const device = address === undefined ? undefined : devices.get(address);
  const nothing = element('p', { class: 'faint' }, 'Select a NIC or a place.');
  byId('details').replaceChildren(...(device === undefined ? [nothing] : renderDetails(device)));
}

function onClick({ target }: MouseEvent): void {
  if (!(target instanceof Element)) return;
  if (target.closest('[data-close]') !== null) select(undefined);
  const address = target.closest<HTMLElement>('[data-address]')?.dataset.address;
  if (address !== undefined) select(address);
  const shown = target.closest<HTMLElement>('[data-show]')?.dataset.show;
  if (shown === undefined) return;
  select(shown);
  picture.focus(shown);
}

function connection(state: string, why: string): void {
  const shown = byId('connection');
  shown.dataset.state = state;
  shown.textContent = state === 'lost' ? `lost: ${why}; what is shown is old` : why;
}

/** The agent and this page are of one release, so its events are what their names say. */
function start(token: string): void {
  let begun: Omit<FeedDocument, 'devices'> | undefined;
  let told: FeedDevice[] = [];
  const listener = {
    portion(name: string, data: unknown) {
      if (name === 'node') begun = data as Omit<FeedDocument, 'devices'>;
      else if (name === 'devices') told.push(...(data as readonly FeedDevice[]));
    },
    ready() {
      if (begun !== undefined)
        showWhole({ ...begun, devices: new Map(told.map((device) => [device.address, device])) });
      told = [];
    },
    change: (data: unknown) => showChange(data as FeedChange),
    connection,
    refused: () => ask(),
  };
  follow(token, 'the agent', listener).catch((error: unknown) => {
    connection('lost', `the page has a bug (${String(error)})`);
  });
}

prepareStates((state) => {
  filter = { ...filter, state: filter.state === state ? undefined : state };
  showFiltered();
});
prepareKeys({
  first() {
    const first = [...devices.values()].find((device) => matches(device, filter));
    if (first === undefined) return;
    select(first.address);
    picture.focus(first.address);
  },
  clear() {
    search.value = '';
    filter = { text: '', state: undefined };
    showFiltered();
    select(undefined);
  },
  move: (from, key) => neighbour(byId('picture'), from, key),
  moved: (to) => select(to.dataset.address),
});
document.addEventListener('click', onClick);
search.addEventListener('input', () => {
  filter = { ...filter, text: search.value };
  showFiltered();
});
const ask = preparePageAccess(start);
