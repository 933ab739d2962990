/** The troubleshooting page has a section for every failure that the sources know, and for no other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { CNI_CODES, cniCodeOf } from '../../src/cni/errors.ts';
import { BerthError, type ErrorCode } from '../../src/engine/errors.ts';
import { anchorsOf, explicitAnchorsOf, type Heading, headingsOf } from './markdown.ts';
import { collectReasons, type ReasonUse, readSources } from './reasons.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8');
const reasons = collectReasons(readSources(root, 'src', ['.ts']));
const named = new Map([...reasons.byName].filter(([reason]) => !reason.startsWith('kernel-')));
const errnos = new Map([...reasons.byName].filter(([reason]) => reason.startsWith('kernel-')));
const sections = sectionsByReason();

const test = suite('troubleshooting');

test('every reason in the sources can be read from them', () => {
  assert.deepEqual(reasons.unclear, []);
  assert.ok(named.size > 100 && errnos.size > 20, `${named.size} and ${errnos.size} reasons`);
});

test('every reason is kebab-case', () => {
  assert.deepEqual(
    [...reasons.byName.keys()].filter((reason) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(reason)),
    [],
  );
});

test('every reason has one section, and every section a reason', () => {
  const titles = sections.map((section) => section.text);
  assert.deepEqual(
    titles.filter((title, index) => titles.indexOf(title) !== index),
    [],
    'twice on the page',
  );
  assert.deepEqual([...named.keys()].filter((reason) => !titles.includes(reason)).sort(), [], 'not on the page');
  assert.deepEqual(
    titles.filter((title) => title !== 'kernel-errno' && !named.has(title)),
    [],
    'not in the sources',
  );
});

test('every errno has one row, with its code, and every row an errno', () => {
  const anchors = explicitAnchorsOf(page);
  assert.deepEqual(anchors.toSorted(), [...errnos.keys()].sort());
  const wrong = [...errnos].filter(([reason, use]) => {
    const row = page.split('\n').find((line) => line.includes(`<a id="${reason}">`)) ?? '';
    return row.split('|')[2]?.trim() !== [...allowedCodes(reason, use)].join(' or ');
  });
  assert.deepEqual(wrong, []);
});

test('no section is empty, and no anchor is there twice', () => {
  assert.deepEqual(
    sections.filter((section) => section.body.length < 20).map((section) => section.text),
    [],
  );
  const all = [...headingsOf(page).map((heading) => heading.anchor), ...explicitAnchorsOf(page)];
  assert.equal(anchorsOf(page).size, all.length);
});

test('the CNI codes of a section are those that its errors are answered with', () => {
  const wrong = sections.flatMap(({ text, body }) => {
    const use = named.get(text);
    if (use === undefined) return [];
    const stated = statedCodes(body);
    const allowed = allowedCodes(text, use);
    const own = [...use.cniCodes].map(codeNamed);
    const unknown = use.isOpen ? [] : stated.filter((code) => !allowed.has(code));
    const missing = own.filter((code) => !stated.includes(code));
    return unknown.length + missing.length === 0 ? [] : [`${text}: ${stated.join()}, not ${[...allowed].join()}`];
  });
  assert.deepEqual(wrong, []);
});

test('every error of the shim has a row with its code', () => {
  const shim = readFileSync(join(root, 'src/shim/shim.c'), 'utf8');
  const rows = page.slice(page.indexOf('\n## Errors of the shim')).split('\n');
  const missing = shimErrors(shim).filter(({ message, codes }) => {
    const row = rows.find((line) => line.includes(`\`${message}\``))?.split('|')[2] ?? '';
    return codes.some((code) => !new RegExp(`\\b${code}\\b`).test(row));
  });
  assert.deepEqual(missing, []);
});

test('the error table of the CNI page names reasons that exist', () => {
  const cni = readFileSync(join(root, 'docs/cni.md'), 'utf8');
  const table = headingsOf(cni).find((heading) => heading.text === 'Errors')?.body ?? '';
  const rows = table.split('\n').filter((line) => /^\| \d+ \|/.test(line));
  const wrong = rows.flatMap((row) => {
    const [, code = '', , cell = ''] = row.split('|');
    return [...cell.matchAll(/`([a-z-]+)`/g)].flatMap(([, reason = '']) => {
      const use = named.get(reason);
      return use !== undefined && allowedCodes(reason, use).has(Number(code)) ? [] : [`${reason}: code ${code}`];
    });
  });
  assert.ok(rows.length > 8);
  assert.deepEqual(wrong, []);
});

test('a helper, a choice and a template are followed, and what cannot be read is reported', () => {
  const { byName, unclear } = collectReasons(
    new Map([
      [
        'src/a.ts',
        `export function bad(reason: string): BerthError { return new BerthError({ code: 'Io', reason }); }
         class Fault extends BerthError {}
         function named(what: string) {
           return new BerthError({ code: 'Invalid', reason: \`no-\${what.toLowerCase().replaceAll(' ', '-')}\` });
         }
         named('Second Thing');
         new Fault(CNI_CODES.io, { reason: late ? 'too-late' : 'too-early' });
         new BerthError({ code: 'Busy', reason: older.reason ?? 'otherwise' });
         new BerthError({ code: 'Busy', reason: somewhere() });
         new BerthError(prepared);`,
      ],
      ['src/b.ts', `import { bad } from './a.ts'; bad('from-elsewhere'); bad(unknown());`],
      ['src/c.ts', `function bad(x: string) { return x; } bad('of-nobody');`],
    ]),
  );
  assert.deepEqual([...byName.keys()].sort(), [
    'from-elsewhere',
    'no-second-thing',
    'otherwise',
    'too-early',
    'too-late',
  ]);
  assert.deepEqual(byName.get('too-late')?.cniCodes, new Set(['io']));
  assert.deepEqual(unclear, [
    'src/b.ts:1: unknown()',
    'src/a.ts:9: reason: somewhere()',
    'src/a.ts:10: the fields are not written where the error is made',
  ]);
});

test.run();

/** The third-level headings below "By reason". */
function sectionsByReason(): readonly Heading[] {
  const headings = headingsOf(page);
  const start = headings.findIndex((heading) => heading.text === 'By reason');
  return headings.slice(start).filter((heading) => heading.level === 3);
}

/** `Code 7 or 102.` at the beginning; none when the failure reaches no runtime. */
function statedCodes(body: string): readonly number[] {
  const [sentence = ''] = /^Code [^.]*\./.exec(body) ?? [];
  return [...sentence.matchAll(/\d+/g)].map(([number]) => Number(number));
}

function allowedCodes(reason: string, use: ReasonUse): ReadonlySet<number> {
  const mapped = [...use.codes].map((code) =>
    cniCodeOf(new BerthError({ code: code as ErrorCode, reason, message: 'any' })),
  );
  return new Set([...mapped, ...[...use.cniCodes].map(codeNamed)]);
}

function codeNamed(name: string): number {
  return CNI_CODES[name as keyof typeof CNI_CODES];
}

/** The first text of every `fail(...)` in the shim, with the codes that it can come with. */
function shimErrors(source: string): readonly { readonly message: string; readonly codes: readonly number[] }[] {
  const constants: Readonly<Record<string, readonly number[]>> = {
    CNI_BAD_ENVIRONMENT: [CNI_CODES.badEnvironment],
    CNI_IO: [CNI_CODES.io],
    CNI_INVALID_CONFIG: [CNI_CODES.invalidConfig],
    'command->code_when_away': [CNI_CODES.tryAgain, CNI_CODES.notAvailable],
  };
  // One message is put together; its beginning is what people see first.
  const composed = /put\(&t, "(the agent is away[^"]*)"/.exec(source)?.[1];
  const calls = [...source.matchAll(/\bfail\(([\w>-]+), (?:"([^"]*)"|(\w+))/g)];
  assert.ok(calls.length >= 10, `${calls.length} calls of fail in the shim`);
  return calls.map(([call, code = '', literal, variable]) => {
    const message = (literal ?? (variable === 'message' ? composed : undefined))?.trim();
    const codes = constants[code];
    assert.ok(message !== undefined && codes !== undefined, `${call} cannot be read`);
    return { message, codes };
  });
}
