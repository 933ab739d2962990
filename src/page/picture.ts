/**
 * The picture: NICs by NUMA node, their VFs as places. A change touches the places it names; only a
 * NIC whose list of VFs is another one is drawn anew.
 */
import type { SparseDevice, SparseNic, SparseVf } from '../engine/cluster/document.ts';
import { linkOf } from './details.ts';
import { element } from './dom.ts';

/** A letter in each place, so that colour is not the only difference. */
const MARKS: Readonly<Record<SparseDevice['state'], string>> = { free: '', taken: '●', broken: '✕', unused: '·' };

export class Picture {
  readonly #root: HTMLElement;
  readonly #isInTabs: boolean;
  readonly #places = new Map<string, HTMLElement>();

  /** `isInTabs`: Tab leads into it. Of many pictures each would be some more stops; then it is for others to lead there. */
  constructor(root: HTMLElement, isInTabs = true) {
    this.#root = root;
    this.#isInTabs = isInTabs;
  }

  /** Everything anew. */
  draw(devices: ReadonlyMap<string, SparseDevice>): void {
    this.#places.clear();
    const nics = [...devices.values()].filter(isNic);
    const vfs = Map.groupBy([...devices.values()].filter(isVf), (vf) => vf.pf);
    const sockets = [...Map.groupBy(nics, (nic) => nic.numaNode)].sort(
      ([one], [other]) => (one ?? 999) - (other ?? 999),
    );
    const made = sockets.map(([numaNode, members]) =>
      element(
        'section',
        { class: 'socket' },
        element('h2', {}, numaNode === undefined ? 'On no NUMA node' : `NUMA node ${numaNode}`),
        element('div', {}, ...members.map((nic) => this.#nic(nic, vfs.get(nic.address) ?? []))),
      ),
    );
    this.#root.replaceChildren(
      ...(made.length === 0 ? [element('p', { class: 'faint' }, 'This node has no PCI network functions.')] : made),
    );
    this.#firstIsReachable();
  }

  /** False when the change is one of structure: then everything is to be drawn. */
  update(changed: Readonly<Record<string, SparseDevice | null>>): boolean {
    for (const [address, device] of Object.entries(changed)) {
      const place = this.#places.get(address);
      if (device === null || place === undefined || 'pf' in device !== place.classList.contains('place')) return false;
      if (!('pf' in device) && place.dataset.numa !== String(device.numaNode)) return false;
    }
    for (const [address, device] of Object.entries(changed)) {
      const place = this.#places.get(address);
      if (device === null || place === undefined) continue;
      if (isVf(device)) describePlace(place, device);
      else place.replaceChildren(...headOf(device, this.#isInTabs));
    }
    return true;
  }

  /** Dims what does not match. */
  show(isShown: (address: string) => boolean): void {
    for (const [address, place] of this.#places) place.classList.toggle('dim', !isShown(address));
  }

  select(address: string | undefined): void {
    for (const current of this.#root.querySelectorAll('[aria-current]')) current.removeAttribute('aria-current');
    if (address === undefined) return;
    const place = this.#placeButton(address);
    place?.setAttribute('aria-current', 'true');
    this.#reachable(place);
  }

  focus(address: string): void {
    this.#placeButton(address)?.focus();
  }

  #nic(nic: SparseNic, vfs: readonly SparseVf[]): HTMLElement {
    const head = element('header', { 'data-numa': String(nic.numaNode) }, ...headOf(nic, this.#isInTabs));
    this.#places.set(nic.address, head);
    const places = vfs
      .toSorted((one, other) => one.index - other.index)
      .map((vf) => {
        const place = element('button', { class: 'place', type: 'button', tabindex: '-1', 'data-address': vf.address });
        describePlace(place, vf);
        this.#places.set(vf.address, place);
        return place;
      });
    const name = nic.ifname ?? nic.address;
    return element(
      'article',
      { class: 'nic', 'aria-label': `NIC ${name}` },
      head,
      ...(places.length === 0
        ? []
        : [element('div', { class: 'places', role: 'group', 'aria-label': `VFs of ${name}` }, ...places)]),
    );
  }

  #placeButton(address: string): HTMLElement | undefined {
    const place = this.#places.get(address);
    return place?.classList.contains('place') === true ? place : (place?.querySelector('button') ?? undefined);
  }

  /** One place is in the order of tabs, the arrow keys lead to the others. */
  #reachable(place: HTMLElement | undefined): void {
    if (place === undefined || !this.#isInTabs) return;
    for (const other of this.#root.querySelectorAll('.place[tabindex="0"]')) other.setAttribute('tabindex', '-1');
    if (place.classList.contains('place')) place.setAttribute('tabindex', '0');
  }

  #firstIsReachable(): void {
    this.#reachable(this.#root.querySelector<HTMLElement>('.place') ?? undefined);
  }
}

function headOf(nic: SparseNic, isInTabs: boolean): readonly Node[] {
  const link = linkOf(nic);
  const model = nic.deviceName ?? nic.vendorName;
  const attributes = { type: 'button', 'data-address': nic.address, tabindex: isInTabs ? undefined : '-1' };
  return [
    element('h3', {}, element('button', attributes, nic.ifname ?? nic.address)),
    element('span', {}, nic.address),
    element('span', {}, nic.driver ?? 'no driver'),
    ...(link === undefined ? [] : [element('span', { class: link.startsWith('up') ? 'good' : 'bad' }, link)]),
    ...(nic.sriov === undefined ? [] : [element('span', {}, `${nic.sriov.numVfs} of ${nic.sriov.totalVfs} VFs`)]),
    ...(model === undefined ? [] : [element('span', {}, model)]),
  ];
}

function describePlace(place: HTMLElement, vf: SparseVf): void {
  const { containerId = '', pod } = vf.owner ?? {};
  const who = pod ?? (containerId === '' ? '' : `container ${containerId.slice(0, 12)}`);
  const why = vf.problem === undefined ? '' : `: ${vf.problem}`;
  const text = `VF ${vf.index} ${vf.address}, ${vf.state}${why}${who === '' ? '' : `, ${who}`}`;
  if (place.dataset.state !== vf.state) {
    place.dataset.state = vf.state;
    place.textContent = MARKS[vf.state];
  }
  if (place.getAttribute('aria-label') === text) return;
  place.setAttribute('aria-label', text);
  place.title = text;
}

function isVf(device: SparseDevice): device is SparseVf {
  return 'pf' in device;
}

function isNic(device: SparseDevice): device is SparseNic {
  return !isVf(device);
}
