/** The buttons that show one state alone and say how many devices there are of each. */
import { byId, element } from './dom.ts';
import { STATES } from './matching.ts';
import { isNic, type ShownDevice } from './shown.ts';

type State = ShownDevice['state'];

/** Calls back with the state of the button that was pressed. */
export function prepareStates(pressed: (state: State) => void): void {
  const items = STATES.map((state) => {
    const sample = element('span', { class: 'place', 'data-state': state, 'aria-hidden': 'true' });
    const button = element(
      'button',
      { type: 'button', id: `state-${state}`, 'aria-pressed': 'false' },
      sample,
      `${state} `,
      element('b', {}, '0'),
    );
    button.addEventListener('click', () => pressed(state));
    return element('li', {}, button);
  });
  byId('states').replaceChildren(...items);
}

/** NICs that nothing offers are no places: they are not counted. */
export function showStates(devices: Iterable<ShownDevice>, filtered: State | undefined): void {
  const counts: Record<State, number> = { free: 0, taken: 0, broken: 0, unused: 0 };
  for (const device of devices) if (!isNic(device) || device.state !== 'unused') counts[device.state] += 1;
  for (const state of STATES) {
    const button = byId(`state-${state}`);
    button.setAttribute('aria-pressed', String(filtered === state));
    const count = button.querySelector('b');
    if (count !== null) count.textContent = String(counts[state]);
  }
}
