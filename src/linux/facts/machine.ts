/**
 * What the machine is, where its files do not say: `systeminformation` knows the places of boards
 * and hypervisors without DMI. It may start programs and is loaded only when it is asked: once,
 * never on a path that somebody waits for.
 */
import type { NodeFacts } from '../../engine/inventory/model.ts';

/** The facts that may come from here. */
export type MachineFacts = Pick<NodeFacts, 'machine' | 'cpus' | 'memoryBytes'>;

/** Facts of this machine. Throws what `systeminformation` throws. */
export async function askMachine(): Promise<MachineFacts> {
  // By its default: a bundle of this CommonJS package has no named exports.
  const { default: information } = await import('systeminformation');
  const { cpu, mem, system } = information;
  const [{ manufacturer, model }, { cores }, { total }] = await Promise.all([system(), cpu(), mem()]);
  const machine = [manufacturer, model].filter((part) => part !== '' && part !== '-').join(' ');
  return {
    ...(machine === '' ? {} : { machine }),
    ...(cores > 0 ? { cpus: cores } : {}),
    ...(total > 0 ? { memoryBytes: total } : {}),
  };
}
