/**
 * The kill table: one ADD and one DEL of a kind of link, and at every change that they make a
 * failure, an end by `kill -9` and (ADD) a cancellation. Whatever it is, everything has to be as it
 * was before once a successor has recovered, or the DEL has been repeated.
 */
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import type { AttachmentEngine } from '../../src/engine/attachments/index.ts';
import { BerthError } from '../../src/engine/errors.ts';
import type { AtStep } from './stepping.ts';

/** One attachment of a kind, on whatever node. */
export interface Subject {
  /** An engine on the node's state whose changes are steps. */
  start(at: AtStep): AttachmentEngine;
  attach(engine: AttachmentEngine, at: AtStep, signal: AbortSignal): Promise<unknown>;
  detach(engine: AttachmentEngine, signal?: AbortSignal): Promise<void>;
  /** Everything that has to be as it was, as text. */
  state(): string;
}

export interface TableRow {
  readonly command: 'ADD' | 'DEL';
  readonly step: string;
  readonly cells: readonly string[];
}

type Ending = 'fails' | 'killed' | 'cancelled';

const never = new AbortController().signal;
const nothing: AtStep = () => undefined;

/** Runs all of it; throws at the first that leaves something. */
export async function killTable(subject: Subject): Promise<readonly TableRow[]> {
  const before = subject.state();
  const addSteps: string[] = [];
  const delSteps: string[] = [];
  const probe = subject.start(nothing);
  const engine = subject.start((what) => void addSteps.push(what));
  await subject.attach(engine, (what) => void addSteps.push(what), never);
  await engine.stop();
  const deleting = subject.start((what) => void delSteps.push(what));
  await subject.detach(deleting);
  await deleting.stop();
  await probe.stop();
  assert.is(subject.state(), before, 'an ADD and its DEL');
  const rows: TableRow[] = [];
  for (const [number, step] of addSteps.entries()) {
    const cells: string[] = [];
    for (const ending of ['fails', 'killed', 'cancelled'] as const)
      cells.push(await add(subject, number, ending, before, `ADD, step ${number + 1} (${step}), ${ending}`));
    rows.push({ command: 'ADD', step, cells });
  }
  for (const [number, step] of delSteps.entries()) {
    const cells: string[] = [];
    for (const ending of ['fails', 'killed', 'cancelled'] as const)
      cells.push(await del(subject, number, ending, before, `DEL, step ${number + 1} (${step}), ${ending}`));
    rows.push({ command: 'DEL', step, cells });
  }
  return rows;
}

async function add(subject: Subject, number: number, ending: Ending, before: string, label: string): Promise<string> {
  const cancel = new AbortController();
  const { at, reached } = ender(number, ending, cancel);
  const engine = subject.start(at);
  const adding = subject.attach(engine, at, cancel.signal).then(
    () => 'tolerated',
    () => 'undone',
  );
  const outcome = ending === 'killed' ? await Promise.race([reached, adding]) : await adding;
  if (ending !== 'killed') await engine.stop();
  const cell = ending === 'killed' ? 'recovered' : outcome;
  if (ending === 'killed') await recover(subject, label);
  else if (cell === 'tolerated') await deleteAgain(subject);
  assert.is(subject.state(), before, label);
  return cell;
}

async function del(subject: Subject, number: number, ending: Ending, before: string, label: string): Promise<string> {
  const adder = subject.start(nothing);
  await subject.attach(adder, nothing, never);
  await adder.stop();
  const cancel = new AbortController();
  const { at, reached } = ender(number, ending, cancel);
  const engine = subject.start(at);
  const deleting = subject.detach(engine, cancel.signal).then(
    () => 'tolerated',
    () => 'repeated',
  );
  const outcome = ending === 'killed' ? await Promise.race([reached, deleting]) : await deleting;
  if (ending !== 'killed') await engine.stop();
  if (ending === 'killed') await recover(subject, label);
  else if (outcome === 'repeated') await deleteAgain(subject);
  assert.is(subject.state(), before, label);
  return ending === 'killed' ? 'completed' : outcome;
}

/** The hook that lets the step with that number end so, and a promise of when it has come to it. */
function ender(number: number, ending: Ending, cancel: AbortController): { at: AtStep; reached: Promise<string> } {
  const reached = Promise.withResolvers<string>();
  let count = -1;
  let isDead = false;
  const at: AtStep = (what) => {
    // A dead process makes no further change, in whatever branch of it.
    if (isDead) return new Promise<void>(() => undefined);
    count += 1;
    if (count !== number) return undefined;
    if (ending === 'killed') {
      isDead = true;
      reached.resolve('recovered');
      return new Promise<void>(() => undefined);
    }
    if (ending === 'fails') throw new BerthError({ code: 'Io', reason: 'injected', message: `injected at ${what}` });
    cancel.abort(new BerthError({ code: 'Interrupted', reason: 'operation-cancelled', message: 'cancelled' }));
    return undefined;
  };
  return { at, reached: reached.promise };
}

async function recover(subject: Subject, label: string): Promise<void> {
  const successor = subject.start(nothing);
  const report = await successor.recover();
  assert.equal(report.stuck, [], label);
  // A kill behind the last change leaves a complete attachment, which its runtime has to delete.
  if (report.kept.length > 0) await subject.detach(successor);
  await successor.stop();
}

async function deleteAgain(subject: Subject): Promise<void> {
  const engine = subject.start(nothing);
  await subject.detach(engine);
  await engine.stop();
}

/** As Markdown, as it stands in docs/kill-table.md. */
export function renderTable(rows: readonly TableRow[]): string {
  const head = '| | At this change | It fails | `kill -9` | Cancelled |\n|---|---|---|---|---|';
  let last = '';
  const lines = rows.map(({ command, step, cells }) => {
    const first = command === last ? '' : command;
    last = command;
    return `| ${[first, step, ...cells].join(' | ')} |`.replace('|  |', '| |');
  });
  return [head, ...lines].join('\n');
}

/** The page shows what was measured: the table below the kind's heading is this one. Printed, to be put there. */
export function requireDocumented(kind: string, rows: readonly TableRow[]): void {
  const section = `## ${kind}\n${renderTable(rows)}\n`;
  process.stdout.write(`\n${section}`);
  const page = readFileSync(new URL('../../docs/kill-table.md', import.meta.url), 'utf8');
  if (!page.includes(section)) throw new Error(`docs/kill-table.md lacks the section that is printed above: ${kind}`);
}
