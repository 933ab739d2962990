/**
 * The page of one node. It shows what the agent's stream says and asks for nothing else; to debug,
 * compare with `curl -N --unix-socket /run/berth/api.sock http://berth/v1/stream`.
 */
import type { FeedChange, FeedDevice, FeedDocument } from '../engine/feed/document.ts';
import { renderDetails } from './details.ts';
import { byId, element } from './dom.ts';
import { type Filter, matches, STATES } from './matching.ts';
import { Picture } from './picture.ts';
import { follow } from './stream.ts';

const TOKEN_KEY = 'berth-token';
const picture = new Picture(byId('picture'));
const search = byId<HTMLInputElement>('search');
let devices = new Map<string, FeedDevice>();
let selected: string | undefined;
let filter: Filter = { text: '', state: undefined };

function showWhole(document_: FeedDocument): void {
  devices = new Map(document_.devices);
  byId('node').textContent = document_.node.name;
  document.title = `${document_.node.name} · Berth`;
  byId('node-view').hidden = false;
  picture.draw(devices);
  showFindings(document_.findings);
  showVirtual(document_.virtual);
  showFiltered();
  select(selected !== undefined && devices.has(selected) ? selected : undefined);
  document.body.dataset.painted ??= String(performance.now());
}

function showChange({ devices: changed = {}, findings, node, virtual }: FeedChange): void {
  for (const [address, device] of Object.entries(changed)) {
    if (device === null) devices.delete(address);
    else devices.set(address, device);
  }
  if (!picture.update(changed)) picture.draw(devices);
  if (node !== undefined) byId('node').textContent = node.name;
  if (findings !== undefined) showFindings(findings);
  if (virtual !== undefined) showVirtual(virtual);
  showFiltered();
  select(selected !== undefined && devices.has(selected) ? selected : undefined);
}

function showFindings(findings: FeedDocument['findings']): void {
  byId('findings-title').textContent = `Findings (${findings.length})`;
  const items = findings.map(({ severity, id, evidence, remedy, subject }) =>
    element(
      'li',
      { 'data-severity': severity },
      element('p', {}, element('strong', {}, severity), ` ${id}`),
      element('p', {}, evidence),
      element('p', { class: 'faint' }, remedy),
      ...(devices.has(subject) ? [element('button', { type: 'button', 'data-show': subject }, 'Show')] : []),
    ),
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
  const counts = Map.groupBy(
    [...devices.values()].filter((device) => 'pf' in device || device.state !== 'unused'),
    ({ state }) => state,
  );
  for (const state of STATES) {
    const button = byId(`state-${state}`);
    button.setAttribute('aria-pressed', String(filter.state === state));
    const count = button.querySelector('b');
    if (count !== null) count.textContent = String(counts.get(state)?.length ?? 0);
  }
}

function select(address: string | undefined): void {
  selected = address;
  picture.select(address);
  const device = address === undefined ? undefined : devices.get(address);
  const nothing = element('p', { class: 'faint' }, 'Select a NIC or a place.');
  byId('details').replaceChildren(...(device === undefined ? [nothing] : renderDetails(device)));
}

function prepareStates(): void {
  const items = STATES.map((state) => {
    const sample = element('span', { class: 'place', 'data-state': state, 'aria-hidden': 'true' });
    const button = element(
      'button',
      { type: 'button', id: `state-${state}`, 'aria-pressed': 'false' },
      sample,
      `${state} `,
      element('b', {}, '0'),
    );
    button.addEventListener('click', () => {
      filter = { ...filter, state: filter.state === state ? undefined : state };
      showFiltered();
    });
    return element('li', {}, button);
  });
  byId('states').replaceChildren(...items);
}

function onKey(event: KeyboardEvent): void {
  const { target } = event;
  if (event.key === '/' && target !== search) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === 'Escape') {
    search.value = '';
    filter = { text: '', state: undefined };
    showFiltered();
    select(undefined);
  } else if (event.key === 'Enter' && target === search) {
    const first = [...devices.values()].find((device) => matches(device, filter));
    if (first === undefined) return;
    select(first.address);
    picture.focus(first.address);
  } else if (
    /^(Arrow|Home$|End$)/.test(event.key) &&
    target instanceof HTMLElement &&
    target.dataset.address !== undefined
  ) {
    const next = picture.neighbour(target, event.key);
    if (next?.dataset.address === undefined) return;
    event.preventDefault();
    next.focus();
    select(next.dataset.address);
  }
}

function onClick({ target }: MouseEvent): void {
  if (!(target instanceof Element)) return;
  const address = target.closest<HTMLElement>('[data-address]')?.dataset.address;
  if (address !== undefined) select(address);
  const shown = target.closest<HTMLElement>('[data-show]')?.dataset.show;
  if (shown === undefined) return;
  select(shown);
  picture.focus(shown);
}

/** From the address, where it does not stay, or from before a reload of this tab. */
function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    sessionStorage.setItem(TOKEN_KEY, given);
    history.replaceState(null, '', location.pathname);
  }
  return given ?? sessionStorage.getItem(TOKEN_KEY) ?? undefined;
}

function askForToken(): void {
  const form = byId<HTMLFormElement>('token-form');
  form.hidden = false;
  byId('node-view').hidden = true;
  byId('connection').textContent = 'a token is needed';
  byId('token').focus();
}

function connection(state: string, why: string): void {
  const shown = byId('connection');
  shown.dataset.state = state;
  shown.textContent = state === 'lost' ? `lost: ${why}; what is shown is old` : why;
}

function start(token: string): void {
  byId('token-form').hidden = true;
  follow(token, { whole: showWhole, change: showChange, connection, refused: askForToken }).catch((error: unknown) => {
    connection('lost', `the page has a bug (${String(error)})`);
  });
}

prepareStates();
document.addEventListener('keydown', onKey);
document.addEventListener('click', onClick);
search.addEventListener('input', () => {
  filter = { ...filter, text: search.value };
  showFiltered();
});
byId('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = byId<HTMLInputElement>('token').value.trim();
  sessionStorage.setItem(TOKEN_KEY, token);
  start(token);
});
const token = takeToken();
if (token === undefined) askForToken();
else start(token);
