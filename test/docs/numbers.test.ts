/** The figures that other pages quote are those of the tables in docs/benchmarks.md, rounded. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';

const root = join(import.meta.dirname, '../..');
const measured = rowsOf(readFileSync(join(root, 'docs/benchmarks.md'), 'utf8'));

type Column = 'berth' | 'peer' | 'ratio';

/** `name unit berth peer limit ratio ...`, the last one where a name is there twice. */
function rowsOf(page: string): ReadonlyMap<string, Readonly<Record<Column, number>>> {
  const lines = page.matchAll(
    /^([a-z]+\.[a-z0-9.]+) +(?:ms|us|MiB) +([\d.]+) +([\d.]+|-) +([\d.]+|-) +([\d.]+|-)x? /gm,
  );
  return new Map(
    [...lines].map(([, name = '', berth, peer, , ratio]) => [
      name,
      { berth: Number(berth), peer: Number(peer), ratio: Number(ratio) },
    ]),
  );
}

/** Page, the text around `N`, and the row and column that it quotes; a quoted second is a thousand of the table's. */
const QUOTED: readonly (readonly [page: string, text: string, name: string, column: Column, scale?: number])[] = [
  ['README.md', '| ADD | N ms |', 'cni.macvlan.add', 'berth'],
  ['README.md', '| ADD | * ms | N ms |', 'cni.macvlan.add', 'peer'],
  ['README.md', '| ADD | * ms | * ms | N |', 'cni.macvlan.add', 'ratio'],
  ['README.md', '| 64 ADDs at once | N ms |', 'cni.macvlan.add64', 'berth'],
  ['README.md', '| 64 ADDs at once | * ms | N ms |', 'cni.macvlan.add64', 'peer'],
  ['README.md', '| 64 ADDs at once | * ms | * ms | N |', 'cni.macvlan.add64', 'ratio'],
  ['README.md', '| 64 DELs at once | N ms |', 'cni.macvlan.del64', 'berth'],
  ['README.md', '| 64 DELs at once | * ms | N ms |', 'cni.macvlan.del64', 'peer'],
  ['README.md', '| 64 DELs at once | * ms | * ms | N |', 'cni.macvlan.del64', 'ratio'],
  ['README.md', 'The agent keeps N MiB resident', 'agent.rss', 'berth'],
  ['README.md', 'reads 2,048 VFs in N s', 'discovery.full', 'berth', 1000],
  ['README.md', 'of a kernel event in about N ms', 'agent.event', 'berth'],
  ['docs/comparison.md', '| ADD of a macvlan with host-local | N ms |', 'cni.macvlan.add', 'peer'],
  ['docs/comparison.md', '| ADD of a macvlan with host-local | * ms | N ms |', 'cni.macvlan.add', 'berth'],
  ['docs/comparison.md', '| 64 ADDs at once; 64 DELs | N ms;', 'cni.macvlan.add64', 'peer'],
  ['docs/comparison.md', '| 64 ADDs at once; 64 DELs | * ms; N ms |', 'cni.macvlan.del64', 'peer'],
  ['docs/comparison.md', '| 64 ADDs at once; 64 DELs | * ms; * ms | N ms;', 'cni.macvlan.add64', 'berth'],
  ['docs/comparison.md', '| 64 ADDs at once; 64 DELs | * ms; * ms | * ms; N ms |', 'cni.macvlan.del64', 'berth'],
  ['docs/comparison.md', '| one DEL | N ms |', 'cni.macvlan.del', 'peer'],
  ['docs/comparison.md', '| one DEL | * ms | N ms,', 'cni.macvlan.del', 'berth'],
  ['docs/comparison.md', "| the first ADD after the agent's start | N ms |", 'cni.macvlan.add.first', 'peer'],
  ['docs/comparison.md', "| the first ADD after the agent's start | * ms | N ms,", 'cni.macvlan.add.first', 'berth'],
  ['docs/comparison.md', '(settings of VFs it has none) | N ms |', 'cni.vf.add', 'peer'],
  ['docs/comparison.md', '(settings of VFs it has none) | * ms | N ms |', 'cni.vf.add', 'berth'],
  ['docs/comparison.md', '| N MiB with 14 VFs', 'agent.rss', 'berth'],
  ['docs/comparison.md', '| N s, before kubelet', 'agent.start', 'berth', 1000],
];

for (const [page, text, name, column, scale = 1] of QUOTED) {
  test(`${page} quotes ${column} of ${name}: ${text}`, () => {
    const pattern = text.replaceAll(/[.*+?^${}()|[\]\\]/g, (char) => (char === '*' ? '[\\d.]+' : `\\${char}`));
    const [, quoted] = new RegExp(pattern.replace('N', '([\\d.]+)')).exec(readFileSync(join(root, page), 'utf8')) ?? [];
    assert.ok(quoted !== undefined, 'the text is not on the page');
    const exact = measured.get(name)?.[column];
    assert.ok(exact !== undefined && Number.isFinite(exact), `docs/benchmarks.md has no ${column} of ${name}`);
    const lastDigit = 10 ** -(quoted.split('.')[1]?.length ?? 0);
    assert.ok(Math.abs(Number(quoted) - exact / scale) <= lastDigit * 0.51, `${quoted} is not ${exact / scale}`);
  });
}

test.run();
