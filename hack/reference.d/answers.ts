/**
 * The program's surroundings as the examples find them: an agent and a node of the lab, as
 * `hack/reference --record` wrote them down. What is printed of it is the program's own text.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, CommanderError } from 'commander';
import { nodeAccess } from '../../src/app/node.ts';
import type { ProgramDeps, Terminal } from '../../src/cli/port.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { feedDocument } from '../../src/engine/feed/document.ts';
import type { AgentStatus, InventoryView } from '../../src/engine/view.ts';
import { ANSWERS } from './recorded-paths.ts';

const RECORDED = join(import.meta.dirname, 'recorded');
/** Files that the examples name lie in either. */
const FILES = join(import.meta.dirname, 'files');
/** A moment after the recording. */
const LATER_MS = 20_000;
/** What no recording may show, though it ends with the agent. */
const PAGE = { url: 'http://127.0.0.1:9474/#token=Qm9hdHMgbGllIGF0IGEgYmVydGggdW50aWwgdGhleSBnbw' };
const SCREEN = { columns: 112, rows: 13 };
/** Cursor movements and the like. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they begin with
const ESCAPES = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** What a person sees in the terminal after typing `line`. */
export async function outputOf(line: string): Promise<string> {
  const seen: string[] = [];
  const [words = '', file] = line.split(' >');
  const program = buildProgram(
    depsOf((text) => seen.push(file === undefined ? text : '')),
    () => undefined,
  );
  asWideAsAPage(program);
  const here = process.cwd();
  process.chdir(FILES);
  try {
    await program.parseAsync(words.split(' ').slice(1), { from: 'user' });
  } catch (thrown) {
    // Help ends so.
    if (!(thrown instanceof CommanderError && thrown.exitCode === 0)) throw thrown;
  } finally {
    process.chdir(here);
  }
  return seen.join('').trimEnd();
}

/** Whatever the terminal is in which the page is made. */
function asWideAsAPage(command: Command): void {
  command.configureOutput({ getOutHelpWidth: () => 80 });
  for (const inner of command.commands) asWideAsAPage(inner);
}

/** `print` is given what is written to stdout and stderr. */
export function depsOf(print: (text: string) => void): ProgramDeps {
  return {
    version: json<AgentStatus>('status.json').version,
    output: { out: print, err: print, color: false, now },
    node: {
      ...nodeAccess,
      saved: (path) => nodeAccess.saved(join(RECORDED, path)),
      capture: () => Promise.resolve(json('capture.json')),
    },
    agent: <T>(_: string, path: string) => Promise.resolve(answer<T>(path)),
    follow: async (_, onDocument, signal) => {
      onDocument(feedDocument(json<InventoryView>('inventory.json')));
      if (!signal.aborted) await once(signal, 'abort');
    },
    terminal: terminalOf(print),
    installer: {
      install: () => Promise.resolve(json('install.json')),
      uninstall: () => Promise.resolve(json('uninstall.json')),
      placeConfiguration: () => Promise.resolve(),
      removeConfiguration: () => Promise.resolve(false),
    },
    runAgent: () => {
      print(text('agent.txt'));
      return Promise.resolve(0);
    },
    troubleshooting: () => undefined,
    runDashboard: () => {
      print(text('dashboard.txt'));
      return Promise.resolve(0);
    },
  };
}

/** A terminal whose person quits when the devices are on the screen, and of which the last screen stays. */
function terminalOf(print: (text: string) => void): Terminal {
  let type: (keys: string) => void = () => undefined;
  return {
    isInteractive: true,
    size: () => SCREEN,
    write: (screen) => {
      if (!screen.includes('live')) return;
      const lines = screen.replaceAll(ESCAPES, '').split('\r\n');
      print(`${lines.map((line) => line.trimEnd()).join('\n')}\n`);
      type('q');
    },
    open: (onInput) => {
      type = onInput;
      return () => undefined;
    },
  };
}

function answer<T>(path: string): T {
  if (path === '/v1/page') return PAGE as T;
  const file = ANSWERS[path];
  if (file === undefined) throw new Error(`no answer of ${path} was recorded`);
  return json<T>(file);
}

function now(): Date {
  return new Date(Date.parse(json<AgentStatus>('status.json').inventory.readAt) + LATER_MS);
}

function json<T>(file: string): T {
  return JSON.parse(text(file)) as T;
}

function text(file: string): string {
  return readFileSync(join(RECORDED, file), 'utf8');
}
