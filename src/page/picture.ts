/**
 * The picture: NICs by NUMA node, their VFs and scalable functions as places. A change touches the places
 * it names; only a NIC that has others than before is drawn anew.
 */
import type { SparseNic, SparseVf } from '../engine/cluster/document.ts';
import { linkOf } from './details.ts';
import { element } from './dom.ts';
import { isNic, isScalable, isVf, type ShownDevice, type ShownScalable } from './shown.ts';

/** A letter in each place, so that colour is not the only difference. */
const MARKS: Readonly<Record<ShownDevice['state'], string>> = { free: '', taken: '●', broken: '✕', unused: '·' };

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
  draw(devices: ReadonlyMap<string, ShownDevice>): void {
    this.#places.clear();
    const nics = [...devices.values()].filter(isNic);
    const vfs = Map.groupBy([...devices.values()].filter(isVf), (vf) => vf.pf);
    const scalable = Map.groupBy([...devices.values()].filter(isScalable), (sf) => sf.nic);
    const sockets = [...Map.groupBy(nics, (nic) => nic.numaNode)].sort(
      ([one], [other]) => (one ?? 999) - (other ?? 999),
    );
    const made = sockets.map(([numaNode, members]) =>
      element(
        'section',
        { class: 'socket' },
        element('h2', {}, numaNode === undefined ? 'On no NUMA node' : `NUMA node ${numaNode}`),
        element(
          'div',
          {},
          ...members.map((nic) => this.#nic(nic, vfs.get(nic.address) ?? [], scalable.get(nic.address) ?? [])),
        ),
      ),
    );
    this.#root.replaceChildren(
      ...(made.length === 0 ? [element('p', { class: 'faint' }, 'This node has no PCI network functions.')] : made),
    );
    this.#firstIsReachable();
  }

  /** False when the change is one of structure: then everything is to be drawn. */
  update(changed: Readonly<Record<string, ShownDevice | null>>): boolean {
    for (const [address, device] of Object.entries(changed)) {
      const place = this.#places.get(address);
      if (device === null || place === undefined || isNic(device) === place.classList.contains('place')) return false;
      if (isNic(device) && place.dataset.numa !== String(device.numaNode)) return false;
    }
    for (const [address, device] of Object.entries(changed)) {
      const place = this.#places.get(address);
      if (device === null || place === undefined) continue;
      if (isNic(device)) place.replaceChildren(...headOf(device, this.#isInTabs));
      else describePlace(place, device);
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

  #nic(nic: SparseNic, vfs: readonly SparseVf[], scalable: readonly ShownScalable[]): HTMLElement {
    const head = element('header', { 'data-numa': String(nic.numaNode) }, ...headOf(nic, this.#isInTabs));
    this.#places.set(nic.address, head);
    const name = nic.ifname ?? nic.address;
    return element(
      'article',
      { class: 'nic', 'aria-label': `NIC ${name}` },
      head,
      ...this.#group(
        `VFs of ${name}`,
        vfs.toSorted((one, other) => one.index - other.index),
      ),
      ...this.#group(
        `Scalable functions of ${name}`,
        scalable.toSorted((one, other) => one.sfnum - other.sfnum),
      ),
    );
  }

  /** Nothing when there are none. */
  #group(label: string, devices: readonly (SparseVf | ShownScalable)[]): readonly HTMLElement[] {
    if (devices.length === 0) return [];
    const places = devices.map((device) => {
      const { address } = device;
      const kind = isVf(device) ? 'place' : 'place scalable';
      const place = element('button', { class: kind, type: 'button', tabindex: '-1', 'data-address': address });
      describePlace(place, device);
      this.#places.set(address, place);
      return place;
    });
    return [element('div', { class: 'places', role: 'group', 'aria-label': label }, ...places)];
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
    ...(nic.scalable === undefined ? [] : [element('span', {}, scalableText(nic.scalable.length))]),
    ...(model === undefined ? [] : [element('span', {}, model)]),
  ];
}

function scalableText(count: number): string {
  return `${count} scalable ${count === 1 ? 'function' : 'functions'}`;
}

function describePlace(place: HTMLElement, device: SparseVf | ShownScalable): void {
  const { address, allocation, owner, problem, state } = device;
  const { containerId = '', pod = allocation?.pod } = owner ?? {};
  const who = pod ?? (containerId === '' ? '' : `container ${containerId.slice(0, 12)}`);
  const why = problem === undefined ? '' : `: ${problem}`;
  const what = isVf(device) ? `VF ${device.index}` : `Scalable function ${device.sfnum}`;
  const text = `${what} ${address}, ${state}${why}${who === '' ? '' : `, ${who}`}`;
  if (place.dataset.state !== state) {
    place.dataset.state = state;
    place.textContent = MARKS[state];
  }
  if (place.getAttribute('aria-label') === text) return;
  place.setAttribute('aria-label', text);
  place.title = text;
}
