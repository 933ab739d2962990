import * as assert from 'node:assert/strict';
import type { Command } from 'commander';
import { test } from 'uvu';
import { parse } from 'yaml';
import { documentText } from '../../src/cli/document.ts';
import type { ProgramDeps } from '../../src/cli/port.ts';
import { buildProgram } from '../../src/cli/program.ts';

test('JSON and YAML are the same document, and a format for people is none', () => {
  const shared = { address: '0000:41:10.0' };
  const document = { devices: [shared, shared], text: 'a: b\n- c', none: undefined, empty: [], number: 10, no: 'no' };
  const json = documentText(document, 'json') ?? '';
  const yaml = documentText(document, 'yaml') ?? '';
  assert.equal(json, `${JSON.stringify(document, undefined, 2)}\n`);
  assert.deepEqual(parse(yaml), JSON.parse(json));
  for (const text of [json, yaml]) assert.match(text, /[^\n]\n$/);
  // A reader of its own need not know references.
  assert.doesNotMatch(yaml, /[&*]/);
  for (const format of ['table', 'wide', 'text', 'svg']) assert.equal(documentText(document, format), undefined);
});

test('every command that prints for people and for programs has both forms for programs', () => {
  const program = buildProgram({ version: '1.2.3' } as unknown as ProgramDeps, () => undefined);
  const formats = new Map<string, readonly string[]>();
  const visit = (command: Command, words: string): void => {
    for (const inner of command.commands) {
      const choices = inner.options.find(({ long }) => long === '--output')?.argChoices;
      if (choices !== undefined) formats.set(`${words}${inner.name()}`, choices);
      visit(inner, `${words}${inner.name()} `);
    }
  };
  visit(program, '');
  // A picture is for people.
  assert.deepEqual(formats.get('topology'), ['text', 'svg']);
  formats.delete('topology');
  assert.ok(formats.size >= 9);
  for (const [name, choices] of formats) assert.deepEqual(choices.slice(-2), ['json', 'yaml'], name);
});

test.run();
