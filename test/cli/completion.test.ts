import * as assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { Command } from 'commander';
import { test } from 'uvu';
import { completionScript } from '../../src/cli/completion.ts';
import type { ProgramDeps } from '../../src/cli/port.ts';
import { buildProgram, runProgram } from '../../src/cli/program.ts';

const output = { out: () => undefined, err: () => undefined, color: false, now: () => new Date() };
const program = buildProgram({ version: '1.2.3', output } as unknown as ProgramDeps, () => undefined);
const script = completionScript(program, 'bash');

/** What bash offers for the last of the words. */
function offered(...words: readonly string[]): readonly string[] {
  const body = `${script}COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _berth; printf '%s\\n' "\${COMPREPLY[@]}"`;
  // Without --norc, bash takes a socket as its input for a remote shell's, and reads the machine's own bashrc.
  const { status, stderr, stdout } = spawnSync('bash', ['--norc', '-uc', body, 'bash', ...words], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter((word) => word !== '');
}

function namesOf(command: Command): readonly string[] {
  return command.commands.map((inner) => inner.name());
}

for (const [words, expected] of [
  [['berth', ''], namesOf(program)],
  [
    ['berth', 'in'],
    ['inventory', 'install'],
  ],
  [['berth', 'inventory', ''], ['diff']],
  [
    ['berth', 'inventory', '-o', ''],
    ['table', 'wide', 'json', 'yaml'],
  ],
  [
    ['berth', 'inventory', '--root', '/x', 'diff', '--output', ''],
    ['text', 'json', 'yaml'],
  ],
  [['berth', 'help', 'unin'], ['uninstall']],
  [['berth', 'help', 'inventory', 'd'], ['diff']],
  [['berth', 'completion', 'f'], ['fish']],
  [['berth', 'agent', '--log-level', 'd'], ['debug']],
  [['berth', 'lint', '-f', ''], []],
  [['berth', 'capture', ''], []],
  [['berth', 'bogus', ''], namesOf(program)],
] as const) {
  test(`bash completes ${JSON.stringify(words.join(' '))}`, () => {
    assert.deepEqual(offered(...words), expected);
  });
}

test('every option of every command is completed', () => {
  const visit = (command: Command, words: readonly string[]): void => {
    const flags = command.options.flatMap(({ long, short }) => [short, long]).filter(Boolean);
    assert.deepEqual(offered(...words, '-'), [...flags, '-h', '--help'], words.join(' '));
    for (const inner of command.commands) if (inner.name() !== 'help') visit(inner, [...words, inner.name()]);
  };
  visit(program, ['berth']);
});

test('zsh is given the same behind what makes it understand it, and fish every command and option', () => {
  assert.ok(completionScript(program, 'zsh').endsWith(script));
  const fish = completionScript(program, 'fish');
  for (const inner of program.commands) {
    assert.ok(fish.includes(`-f -a ${inner.name()} -d '`), inner.name());
    for (const { long } of inner.options)
      assert.ok(fish.includes(`'__berth_at "${inner.name()}"'`) && fish.includes(`-l ${long?.slice(2)} `), long ?? '');
  }
  // A quote ends no text early.
  assert.match(fish, /-d 'list every problem[^'\n]*'/);
  assert.match(fish, /runtime\\'s plugin folder/);
});

test('a shell that is not known is wrong usage', async () => {
  const deps = { version: '1.2.3', output } as unknown as ProgramDeps;
  assert.equal(await runProgram(['completion', 'csh'], deps), 2);
  assert.equal(await runProgram(['completion'], deps), 2);
  assert.equal(await runProgram(['completion', 'bash'], deps), 0);
});

test.run();
