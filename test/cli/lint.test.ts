import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { lintCommand } from '../../src/cli/lint.ts';
import type { DefinitionReport, NodeAccess, ProgramDeps } from '../../src/cli/port.ts';

async function lint(options: { file?: string; networks?: string; output?: string }, reports: DefinitionReport[] = []) {
  let out = '';
  let err = '';
  const asked: string[] = [];
  const node: Pick<NodeAccess, 'definitions'> = {
    definitions: (path) => {
      asked.push(path);
      return Promise.resolve(reports);
    },
  };
  const output = { out: (text: string) => (out += text), err: (text: string) => (err += text) };
  const exit = await lintCommand({ node, output } as unknown as ProgramDeps)({ output: 'text', ...options });
  return { exit, out, err, asked };
}

const GOOD: DefinitionReport = {
  name: 'prod/lan',
  plugins: [{ type: 'macvlan', isServed: true, errors: [], warnings: [] }],
};

test('one of a file and of networks has to be named', async () => {
  assert.equal((await lint({})).exit, 2);
  assert.equal((await lint({ file: 'a', networks: 'b' })).exit, 2);
});

test('definitions without errors end with 0, and the names that the shim needs are told', async () => {
  const chain: DefinitionReport = {
    name: 'prod/both',
    plugins: [
      { type: 'sriov', isServed: true, errors: [], warnings: [{ path: 'x', message: 'odd' }] },
      { type: 'tuning', isServed: false, errors: [], warnings: [] },
      { type: 'berth', isServed: true, errors: [], warnings: [] },
    ],
  };
  const { asked, err, exit, out } = await lint({ networks: '-' }, [
    GOOD,
    chain,
    { name: 'a', plugins: [], isElsewhere: true },
  ]);
  assert.equal(exit, 0);
  assert.deepEqual(asked, ['-']);
  assert.equal(
    out,
    [
      'prod/lan: no problems',
      'prod/both: warning: sriov: x: odd',
      "prod/both: tuning: not Berth's; it is executed as before",
      'a: it has no configuration; Multus takes that of a file on the node',
      '',
    ].join('\n'),
  );
  assert.equal(
    err,
    '3 definitions, none with errors\nthe shim is needed as macvlan, sriov: berth install --as macvlan,sriov\n',
  );
});

const BROKEN: DefinitionReport = {
  name: 'prod/\u001b[31m',
  plugins: [{ type: '', isServed: false, errors: [{ path: '', message: 'no JSON' }], warnings: [] }],
};

test('one error ends with 1, and what a definition is called does not command the terminal', async () => {
  const { err, exit, out } = await lint({ networks: 'x' }, [BROKEN]);
  assert.deepEqual([exit, out, err], [1, 'prod/?[31m: no JSON\n', '1 definition, 1 with errors\n']);
});

test('programs are given all of it', async () => {
  const { out } = await lint({ networks: 'x', output: 'json' }, [BROKEN, GOOD]);
  assert.deepEqual(JSON.parse(out), { definitions: [BROKEN, GOOD] });
});

test.run();
