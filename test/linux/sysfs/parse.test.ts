import assert from 'node:assert/strict';
import { test } from 'uvu';
import * as parse from '../../../src/linux/sysfs/parse.ts';

const cases: readonly (readonly [string, (text: string) => unknown, readonly (readonly [string, unknown])[]])[] = [
  [
    'hexId',
    parse.hexId,
    [
      ['0x8086', '8086'],
      ['0xABCD', 'abcd'],
      ['8086', undefined],
      ['0x80867', undefined],
      ['', undefined],
    ],
  ],
  [
    'pciClass',
    parse.pciClass,
    [
      ['0x020000', '020000'],
      ['0x0200', undefined],
      ['0xgggggg', undefined],
    ],
  ],
  [
    'count',
    parse.count,
    [
      ['0', 0],
      ['4294967295', 4_294_967_295],
      ['-1', undefined],
      ['12345678901', undefined],
      ['1e3', undefined],
      [' 1', undefined],
    ],
  ],
  [
    'integer',
    parse.integer,
    [
      ['-1', -1],
      ['25000', 25_000],
      ['--1', undefined],
      ['', undefined],
    ],
  ],
  [
    'hexNumber',
    parse.hexNumber,
    [
      ['0x1003', 0x1003],
      ['1003', undefined],
      ['0x', undefined],
    ],
  ],
  [
    'flag',
    parse.flag,
    [
      ['1', true],
      ['0', false],
      ['yes', undefined],
    ],
  ],
  [
    'word',
    parse.word,
    [
      ['i40e', 'i40e'],
      ['a b', undefined],
      ['a/b', undefined],
      ['\u001b[2J', undefined],
      ['\ufffd', undefined],
      ['', undefined],
    ],
  ],
  [
    'line',
    parse.line,
    [
      ['Example Server', 'Example Server'],
      ['a\nb', undefined],
      ['x'.repeat(257), undefined],
    ],
  ],
  [
    'gigatransfers',
    parse.gigatransfers,
    [
      ['8.0 GT/s PCIe', 8],
      ['2.5 GT/s', 2.5],
      ['Unknown', undefined],
      ['Unknown speed', undefined],
    ],
  ],
  [
    'numberList',
    parse.numberList,
    [
      ['0', [0]],
      ['0-2,7', [0, 1, 2, 7]],
      ['2-0', undefined],
      ['0-99999', undefined],
      ['', undefined],
    ],
  ],
  [
    'linkType',
    parse.linkType,
    [
      ['1', 'ether'],
      ['32', 'infiniband'],
      ['772', 'loopback'],
      ['4242', '4242'],
      ['x', undefined],
    ],
  ],
];

for (const [name, parser, table] of cases) {
  for (const [text, expected] of table) {
    test(`${name} of ${JSON.stringify(text.slice(0, 20))} is ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parser(text), expected);
    });
  }
}

test('a PCIe link has what is known of it', () => {
  assert.deepEqual(parse.pcieLink('16.0 GT/s PCIe', '8'), { gtps: 16, width: 8 });
  assert.deepEqual(parse.pcieLink('Unknown', '4'), { width: 4 });
  assert.equal(parse.pcieLink('Unknown', '255'), undefined);
  assert.equal(parse.pcieLink(undefined, '0'), undefined);
});

test('a uevent value is found by its whole key', () => {
  assert.equal(parse.ueventValue('XDEVTYPE=no\nDEVTYPE=bridge\nINTERFACE=br0', 'DEVTYPE'), 'bridge');
  assert.equal(parse.ueventValue('INTERFACE=br0', 'DEVTYPE'), undefined);
});

test.run();
