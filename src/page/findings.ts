/** Findings as items of a list. */
import type { Finding } from '../engine/inventory/model.ts';
import { element } from './dom.ts';

/** `show` are the attributes of a button that leads to what it is about; none without. */
export function renderFinding(
  { evidence, id, remedy, severity }: Finding,
  show: Readonly<Record<string, string>> | undefined,
): HTMLLIElement {
  return element(
    'li',
    { 'data-severity': severity },
    element('p', {}, element('strong', {}, severity), ` ${id}`),
    element('p', {}, evidence),
    element('p', { class: 'faint' }, remedy),
    ...(show === undefined ? [] : [element('button', { type: 'button', ...show }, 'Show')]),
  );
}
