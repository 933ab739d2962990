/** RDMA messages by their bytes, as rdma/rdma_netlink.h has them. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  RDMA_NLDEV_CMD_GET,
  RDMA_NLDEV_CMD_SET,
  RDMA_NLDEV_CMD_SYS_GET,
  readRdmaDevice,
  readRdmaMode,
  writeRdmaMove,
} from '../../../src/linux/netlink/rdma.ts';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { malformedError } from './malformed.ts';
import { bytes } from './recorded.ts';

const INDEX = '0800010002000000';
const NAME = '0b000200' + '6d6c78355f3300' + '00';

test('the commands are of the client NLDEV', () => {
  assert.deepEqual([RDMA_NLDEV_CMD_GET, RDMA_NLDEV_CMD_SET, RDMA_NLDEV_CMD_SYS_GET], [0x1401, 0x1402, 0x1406]);
});

test('a device is read with its index and name, whatever else is told of it', () => {
  const firmware = '0c000500' + '32302e3331000000';
  assert.deepEqual(readRdmaDevice(bytes(INDEX + NAME + firmware)), { index: 2, name: 'mlx5_3' });
});

for (const [what, hex] of [
  ['index', NAME],
  ['name', INDEX],
] as const) {
  test(`a device without ${what} is refused`, () => {
    assert.throws(() => readRdmaDevice(bytes(hex)), malformedError);
  });
}

test('every truncation of a device is refused or lacks something', () => {
  const whole = bytes(INDEX + NAME);
  for (let length = 0; length < whole.length - 1; length += 1)
    assert.throws(() => readRdmaDevice(whole.subarray(0, length)), malformedError, `${length} bytes`);
});

for (const [what, hex, mode] of [
  ['exclusive', '0500420000000000', 'exclusive'],
  ['shared', '0500420001000000', 'shared'],
  ['not told, as by kernels before 5.2', '', 'shared'],
] as const) {
  test(`the mode is ${what}`, () => assert.equal(readRdmaMode(bytes(hex)), mode));
}

test('a move names the device and the descriptor of the namespace', () => {
  const writer = new AttributeWriter();
  writeRdmaMove(writer, 2, 9);
  assert.equal(writer.bytes().toString('hex'), `${INDEX}0800440009000000`);
});

test.run();
