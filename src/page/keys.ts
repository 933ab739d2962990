/** The keys of both pages: search, moving between places, taking it back. */
import { byId } from './dom.ts';

export interface KeyActions {
  /** Enter in the search. */
  first(): void;
  clear(): void;
  /** From one button of the picture to another. */
  move(from: HTMLElement, key: string): HTMLElement | undefined;
  moved(to: HTMLElement): void;
}

const MOVES = /^(Arrow|Home$|End$)/;

/** Listens as long as the page. What moves has `data-address` or `data-node`. */
export function prepareKeys(actions: KeyActions): void {
  const search = byId<HTMLInputElement>('search');
  document.addEventListener('keydown', (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key === '/' && !(target instanceof HTMLInputElement)) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (key === 'Escape') actions.clear();
    else if (key === 'Enter' && target === search) actions.first();
    else if (MOVES.test(key) && target instanceof HTMLButtonElement) {
      const { address, node } = target.dataset;
      const next = address === undefined && node === undefined ? undefined : actions.move(target, key);
      if (next === undefined) return;
      event.preventDefault();
      next.focus();
      actions.moved(next);
    }
  });
}

/** The button beside, above or below another, in the order in which they are drawn. */
export function neighbour(root: HTMLElement, from: HTMLElement, key: string): HTMLElement | undefined {
  const all = [...root.querySelectorAll<HTMLElement>('button[data-address], button[data-node]')].filter(
    (button) => button.closest('[hidden]') === null,
  );
  const at = all.indexOf(from);
  if (key === 'ArrowLeft') return all[at - 1];
  if (key === 'ArrowRight') return all[at + 1];
  if (key === 'Home') return all[0];
  if (key === 'End') return all.at(-1);
  return inNextRow(all, from, key === 'ArrowDown' ? 1 : -1);
}

function inNextRow(all: readonly HTMLElement[], from: HTMLElement, way: 1 | -1): HTMLElement | undefined {
  const here = from.getBoundingClientRect();
  const at = all.indexOf(from);
  let best: { readonly place: HTMLElement; readonly x: number } | undefined;
  let row: number | undefined;
  for (let index = at + way; index >= 0 && index < all.length; index += way) {
    const place = all[index];
    const there = place?.getBoundingClientRect();
    if (place === undefined || there === undefined || Math.abs(there.top - here.top) < 4) continue;
    if (row !== undefined && Math.abs(there.top - row) > 4) break;
    row = there.top;
    const x = Math.abs(there.left - here.left);
    if (best === undefined || x < best.x) best = { place, x };
  }
  return best?.place;
}
