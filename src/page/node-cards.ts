/**
 * All nodes, each as a card with its NICs and places. What is far from the screen is drawn when it
 * comes near, so that a hundred nodes are there as fast as one.
 */
import type { ClusterNodeFacts } from '../engine/cluster/document.ts';
import { element } from './dom.ts';
import { Picture } from './picture.ts';
import { isNic, isVf, type ShownDevice } from './shown.ts';

/** As the page keeps it. */
export interface ShownNode {
  facts: ClusterNodeFacts;
  readonly devices: Map<string, ShownDevice>;
}

/** How far from the screen a card is drawn. */
const NEAR = '800px';
const byName = new Intl.Collator('en', { numeric: true });

/** `worker-2` comes before `worker-10`. */
export function inOrder(nodes: ReadonlyMap<string, ShownNode>): readonly ShownNode[] {
  return [...nodes.values()].sort((one, other) => byName.compare(one.facts.name, other.facts.name));
}

export class NodeCards {
  readonly #root: HTMLElement;
  readonly #cards = new Map<string, Card>();
  readonly #observer: IntersectionObserver;
  #isShown: (node: string, device: ShownDevice) => boolean = () => true;

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#observer = new IntersectionObserver((entries) => this.#near(entries), { rootMargin: NEAR });
    root.addEventListener('focusin', ({ target }) => {
      if (target instanceof HTMLButtonElement) this.#reach(target);
    });
  }

  /** In this order; cards of nodes that are there already stay, with the focus in them. `nothing` is said when there are none. */
  draw(nodes: readonly ShownNode[], nothing: string): void {
    const before = new Map(this.#cards);
    this.#cards.clear();
    for (const node of nodes) {
      const { name } = node.facts;
      const known = before.get(name);
      this.#cards.set(name, known?.node === node ? known : new Card(node));
    }
    const kept = new Set<Element>([...this.#cards.values()].map(({ root }) => root));
    for (const child of [...this.#root.children]) {
      if (kept.has(child)) continue;
      this.#observer.unobserve(child);
      child.remove();
    }
    let at = this.#root.firstElementChild;
    for (const { root } of this.#cards.values()) {
      if (root === at) at = root.nextElementSibling;
      else {
        this.#root.insertBefore(root, at);
        this.#observer.observe(root);
      }
    }
    if (nodes.length === 0) this.#root.append(element('p', { class: 'faint' }, nothing));
    this.#stayReachable();
  }

  /** A node that has no card yet gets one when all are drawn. */
  update(name: string, changed: Readonly<Record<string, ShownDevice | null>>): void {
    this.#cards.get(name)?.update(changed);
    this.#stayReachable();
  }

  /** Nodes without a device that is shown disappear; in the others the devices that are not are dimmed. */
  show(isShown: (node: string, device: ShownDevice) => boolean, isFiltered: boolean): void {
    this.#isShown = isShown;
    for (const card of this.#cards.values()) card.show(isShown, isFiltered);
  }

  select(name: string | undefined, address: string | undefined): void {
    for (const [node, card] of this.#cards) card.select(node === name ? address : undefined);
  }

  /** The card of the node, or a place in it, comes to the screen. */
  focus(name: string, address: string | undefined): void {
    const card = this.#cards.get(name);
    card?.draw(this.#isShown);
    card?.focus(address);
  }

  /** One button is in the order of tabs, the arrow keys lead to the others. */
  #reach(button: HTMLButtonElement): void {
    for (const other of this.#root.querySelectorAll('button[tabindex="0"]')) other.setAttribute('tabindex', '-1');
    button.setAttribute('tabindex', '0');
  }

  /** The button that was in the order of tabs may be gone. */
  #stayReachable(): void {
    const first = this.#root.querySelector('button');
    if (first !== null && this.#root.querySelector('button[tabindex="0"]') === null) this.#reach(first);
  }

  #near(entries: readonly IntersectionObserverEntry[]): void {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.#observer.unobserve(target);
      this.#cards.get((target as HTMLElement).dataset.name ?? '')?.draw(this.#isShown);
    }
  }
}

class Card {
  readonly root: HTMLElement;
  readonly node: ShownNode;
  readonly #badges: HTMLElement;
  readonly #name: HTMLElement;
  readonly #body: HTMLElement;
  #picture: Picture | undefined;
  #selected: string | undefined;

  constructor(node: ShownNode) {
    this.node = node;
    const { name } = node.facts;
    this.#name = element('button', { type: 'button', tabindex: '-1', 'data-node': name }, name);
    this.#badges = element('p');
    this.#body = element('div', { class: 'small' });
    this.root = element(
      'article',
      { class: 'node', 'data-name': name, 'aria-label': `Node ${name}` },
      element('header', {}, element('h2', {}, this.#name), this.#badges),
      this.#body,
    );
    this.#describe();
    // About as high as it will be, so that the scroll bar does not jump.
    const nics = [...node.devices.values()].filter(isNic).length;
    this.#body.style.minHeight = `${1.6 * nics + 0.09 * (node.devices.size - nics)}rem`;
  }

  draw(isShown: (node: string, device: ShownDevice) => boolean): void {
    if (this.#picture !== undefined) return;
    this.#picture = new Picture(this.#body, false);
    this.#body.style.minHeight = '';
    this.#drawPicture();
    this.#dim(isShown);
  }

  update(changed: Readonly<Record<string, ShownDevice | null>>): void {
    this.#describe();
    if (this.#picture?.update(changed) === false) this.#drawPicture();
  }

  show(isShown: (node: string, device: ShownDevice) => boolean, isFiltered: boolean): void {
    const { devices, facts } = this.node;
    this.root.hidden = isFiltered && ![...devices.values()].some((device) => isShown(facts.name, device));
    if (!this.root.hidden) this.#dim(isShown);
  }

  select(address: string | undefined): void {
    if (address === this.#selected) return;
    this.#selected = address;
    this.#picture?.select(address);
  }

  focus(address: string | undefined): void {
    if (address === undefined) this.#name.focus();
    else this.#picture?.focus(address);
  }

  #drawPicture(): void {
    this.#picture?.draw(this.node.devices);
    this.#picture?.select(this.#selected);
  }

  #dim(isShown: (node: string, device: ShownDevice) => boolean): void {
    const { devices, facts } = this.node;
    this.#picture?.show((address) => {
      const device = devices.get(address);
      return device === undefined || isShown(facts.name, device);
    });
  }

  #describe(): void {
    this.#badges.replaceChildren(...badgesOf(this.node));
  }
}

/** What is to be said of a node at once. */
function badgesOf({ devices, facts }: ShownNode): readonly Node[] {
  const vfs = [...devices.values()].filter(isVf);
  const taken = vfs.filter(({ state }) => state === 'taken').length;
  const errors = facts.findings.filter(({ severity }) => severity === 'error').length;
  const false_ = facts.conditions.filter(({ status }) => status === 'False').map(({ type }) => `not ${type}`);
  return [
    ...(vfs.length === 0 ? [] : [element('span', {}, `${taken} of ${vfs.length} VFs taken`)]),
    ...(facts.damage.length === 0 ? [] : [element('span', { class: 'bad' }, 'object damaged')]),
    ...false_.map((words) => element('span', { class: 'bad' }, words)),
    ...(errors === 0 ? [] : [element('span', { class: 'bad' }, `${errors} ${errors === 1 ? 'error' : 'errors'}`)]),
    ...(facts.findingsTotal === errors ? [] : [element('span', {}, `${facts.findingsTotal} findings`)]),
  ];
}
