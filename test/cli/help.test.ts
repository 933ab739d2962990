/** What `--help` says of each command, and variables of options. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Command } from 'commander';
import { test } from 'uvu';
import { troubleshootingPage } from '../../src/app/manual.ts';
import { EXAMPLES } from '../../src/cli/examples.ts';
import { reasonText } from '../../src/cli/help.ts';
import type { AgentOptions, ProgramDeps } from '../../src/cli/port.ts';
import { buildProgram, runProgram } from '../../src/cli/program.ts';

test('the help of every command says what it is for, what each argument and option is, and shows an example', () => {
  const visit = (command: Command, words: string): void => {
    for (const inner of command.commands) {
      const name = `${words}${inner.name()}`;
      assert.match(inner.description(), /^[a-z]/, name);
      for (const { description } of [...inner.registeredArguments, ...inner.options]) assert.notEqual(description, '');
      const [example] = EXAMPLES[name] ?? [];
      assert.ok(example?.line.startsWith(`berth ${name}`), name);
      visit(inner, `${name} `);
    }
  };
  const program = buildProgram(
    depsOf(() => undefined),
    () => undefined,
  );
  assert.ok(program.commands.length > 12);
  visit(program, '');
});

test('berth help shows a command of two words, all commands, and says which is not there', async () => {
  const diff = await run(['help', 'inventory', 'diff']);
  assert.deepEqual([diff.exit, diff.out], [0, (await run(['inventory', 'diff', '--help'])).out]);
  const all = await run(['help']);
  assert.deepEqual([all.exit, all.out], [0, (await run(['--help'])).out]);
  const none = await run(['help', 'inventory', 'dif']);
  assert.deepEqual([none.exit, none.out], [2, '']);
  assert.match(none.err, /^error: there is no command and no error "inventory dif"/);
});

const PAGE = `# Troubleshooting

### A pod waits
Not an error.

### device-held
Code 11. Another pod has it: see [device-gone](#device-gone), or [the list](x.md#y), and look for it in \`berth inventory\` then.

- a point that is long enough to be wrapped, and is told to go on below its own beginning then

### device-gone
Code 101.

## The kernel

| Errno | Code | Means |
|---|---|---|
| <a id="kernel-eperm"></a>EPERM | 103 | It is forbidden |
`;

test('berth help shows what an error means', async () => {
  const held = await run(['help', 'device-held']);
  assert.equal(held.exit, 0);
  assert.equal(
    held.out,
    `device-held

Code 11. Another pod has it: see device-gone, or the list, and look for it in
\`berth inventory\` then.

- a point that is long enough to be wrapped, and is told to go on below its own
  beginning then
`,
  );
  assert.equal((await run(['help', 'device-gone'])).out, 'device-gone\n\nCode 101.\n');
  assert.equal((await run(['help', 'kernel-eperm'])).out, 'kernel-eperm\n\nEPERM. Code 103. It is forbidden.\n');
  for (const words of [['device-unheard-of'], ['A pod waits'], ['device-held', 'x'], ['inventory', 'device-held']])
    assert.equal((await run(['help', ...words])).exit, 2, words.join(' '));
});

test('every error that the sources know is shown from the page that is installed', () => {
  const page = troubleshootingPage(join(import.meta.dirname, '../../src'));
  assert.ok(page !== undefined);
  const titles = [...page.matchAll(/^### ([a-z0-9-]+)$/gm), ...page.matchAll(/<a id="(kernel-[a-z]+)">/g)];
  assert.ok(titles.length > 150);
  for (const [, reason = ''] of titles) {
    const text = reasonText(page, reason) ?? '';
    assert.ok(text.startsWith(`${reason}\n\n`) && text.length > reason.length + 20, reason);
    assert.ok(!/\]\(|<a id/.test(text), reason);
  }
  assert.equal(troubleshootingPage('/nonexistent/berth'), undefined);
});

test('wrong usage of a command names the help of that command', async () => {
  for (const [argv, help] of [
    [['inventory', '--bogus'], 'inventory'],
    [['inventory', 'diff', 'a'], 'inventory diff'],
    [['lint'], 'lint'],
  ] as const) {
    const { err, exit } = await run([...argv]);
    assert.equal(exit, 2);
    assert.ok(err.endsWith(`\n(berth help ${help} shows its options)\n`), err);
  }
  assert.match((await run(['bogus'])).err, /\(berth help lists the commands\)\n$/);
});

test('no example is of a command that is not there', async () => {
  for (const name of Object.keys(EXAMPLES)) {
    const { exit, out } = await run([...name.split(' '), '--help']);
    assert.equal(exit, 0);
    assert.ok(out.includes(`$ ${EXAMPLES[name]?.[0]?.line}`), name);
  }
});

for (const [text, expected] of [
  ['true', { useCdi: true }],
  ['1', { useCdi: true }],
  ['Yes', { useCdi: true }],
  ['false', {}],
  ['0', {}],
  ['', {}],
] as const) {
  test(`the variable of a switch with the value ${JSON.stringify(text)}`, async () => {
    const { agentOptions } = await withVariable('BERTH_USE_CDI', text, () => run(['agent']));
    assert.deepEqual(agentOptions, { ...expected, logLevel: 'info' });
  });
}

test('a switch is not switched by a text that is neither true nor false', async () => {
  const { agentOptions, err, exit } = await withVariable('BERTH_USE_CDI', 'maybe', () => run(['agent']));
  assert.deepEqual([agentOptions, exit], [undefined, 2]);
  assert.match(err, /^error: BERTH_USE_CDI is "maybe", and has to be true or false/);
});

test('an empty variable says nothing, and an option comes before its variable', async () => {
  const empty = await withVariable('BERTH_CONFIG', '', () => run(['agent']));
  assert.deepEqual(empty.agentOptions, { logLevel: 'info' });
  const both = await withVariable('BERTH_CONFIG', '/a', () => run(['agent', '--config', '/b']));
  assert.deepEqual(both.agentOptions, { config: '/b', logLevel: 'info' });
});

test.run();

async function run(argv: readonly string[]) {
  const told = { out: '', err: '' };
  let agentOptions: AgentOptions | undefined;
  const deps = {
    ...depsOf((stream, text) => {
      told[stream] += text;
    }),
    runDashboard: () => Promise.reject(new Error('not asked for')),
    troubleshooting: () => PAGE,
    runAgent: (options: AgentOptions) => {
      agentOptions = options;
      return Promise.resolve(0);
    },
  };
  return { exit: await runProgram(argv, deps), ...told, agentOptions };
}

/** Help needs nothing else of a program's surroundings. */
function depsOf(print: (stream: 'out' | 'err', text: string) => void): ProgramDeps {
  const output = {
    out: (text: string) => print('out', text),
    err: (text: string) => print('err', text),
    color: false,
    now: () => new Date(),
  };
  return { version: '1.2.3', output } as unknown as ProgramDeps;
}

async function withVariable<T>(name: string, value: string, body: () => Promise<T>): Promise<T> {
  const before = process.env[name];
  process.env[name] = value;
  try {
    return await body();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}
