import * as assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { test } from 'uvu';
import {
  decodeRequest,
  decodeRequestHeader,
  decodeResult,
  decodeResultHeader,
  encodeExecute,
  encodeReply,
  FRAME_HEADER_BYTES,
} from '../../src/cni/protocol.ts';
import { BerthError } from '../../src/engine/errors.ts';
import type { IpamCall } from '../../src/engine/ipam/port.ts';
import { encodeRequestFrame, encodeRequestPayload } from './shim-side.ts';

const PAYLOAD = encodeRequestPayload({
  environment: { CNI_COMMAND: 'ADD', CNI_ARGS: 'A=b=c' },
  stdin: '{"name":"ä"}',
  argv0: 'sriov',
});

function isMalformed(error: unknown): boolean {
  return error instanceof BerthError && error.reason === 'malformed-request';
}

test('a request is read as it was written', () => {
  const request = decodeRequest(PAYLOAD);
  assert.deepEqual(
    [...request.environment],
    [
      ['CNI_COMMAND', 'ADD'],
      ['CNI_ARGS', 'A=b=c'],
    ],
  );
  assert.equal(request.argv0, 'sriov');
  assert.equal(request.stdin.toString(), '{"name":"ä"}');
  assert.equal(request.netnsErrno, undefined);
});

test('literal bytes: what the shim sends', () => {
  const bytes = Buffer.from(
    ['01', '00000006', '413d6200', '433d'].join('') +
      ['02', '00000000'].join('') +
      ['03', '00000004', '00000002'].join('') +
      ['04', '00000002', '7b7d'].join(''),
    'hex',
  );
  const request = decodeRequest(bytes);
  assert.deepEqual(
    [...request.environment],
    [
      ['A', 'b'],
      ['C', ''],
    ],
  );
  assert.equal(request.netnsErrno, 2);
  assert.equal(request.stdin.toString(), '{}');
  assert.deepEqual(encodeReply(7, 'ok'), Buffer.from('0200000003076f6b', 'hex'));
});

test('every truncation of a request is refused', () => {
  for (let length = 0; length < PAYLOAD.length; length++) {
    assert.throws(() => decodeRequest(PAYLOAD.subarray(0, length)), isMalformed, `${length} bytes`);
  }
});

test('sections of a later shim are skipped', () => {
  const later = Buffer.concat([Buffer.from([99, 0, 0, 0, 2, 1, 2]), PAYLOAD]);
  assert.equal(decodeRequest(later).argv0, 'sriov');
});

test('a header is waited for, and refused when it is no request or too long', () => {
  const frame = encodeRequestFrame({ environment: {}, stdin: '' });
  assert.equal(decodeRequestHeader(frame.subarray(0, FRAME_HEADER_BYTES - 1)), undefined);
  assert.equal(decodeRequestHeader(frame)?.lengthBytes, frame.length - FRAME_HEADER_BYTES);
  assert.throws(() => decodeRequestHeader(Buffer.from([9, 0, 0, 0, 1])), isMalformed);
  assert.throws(() => decodeRequestHeader(Buffer.from([1, 0xff, 0xff, 0xff, 0xff])), isMalformed);
});

test('whatever bytes come, they are a request or are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(PAYLOAD.length), (noise, at) => {
      for (const bytes of [Buffer.from(noise), Buffer.concat([PAYLOAD.subarray(0, at), noise])]) {
        try {
          decodeRequest(bytes);
        } catch (error) {
          assert.ok(isMalformed(error));
        }
      }
    }),
  );
});

const CALL: IpamCall = {
  command: 'DEL',
  program: 'pool',
  stdin: '{}',
  environment: { CNI_PATH: '/a', CNI_COMMAND: 'ADD' },
  timeoutMs: 258,
};

test('the wish to execute a program has its name, variables, time limit and input, in the layout of protocol.md', () => {
  assert.equal(
    encodeExecute(CALL).toString('latin1'),
    [
      '\x03\x00\x00\x00\x3a',
      '\x05\x00\x00\x00\x04pool',
      '\x01\x00\x00\x00\x1cCNI_PATH=/a\0CNI_COMMAND=DEL\0',
      '\x06\x00\x00\x00\x04\x00\x00\x01\x02',
      '\x04\x00\x00\x00\x02{}',
    ].join(''),
  );
});

const RESULT = Buffer.from(
  [
    '\x07\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x0b',
    '\x09\x00\x00\x00\x03out',
    '\x08\x00\x00\x00\x02/p',
    '\x63\x00\x00\x00\x01?',
    '\x0a\x00\x00\x00\x03err',
  ].join(''),
  'latin1',
);

test('a result is read, whatever else a later shim says', () => {
  assert.deepEqual(decodeResult(RESULT), {
    end: { kind: 'signalled', signal: 11 },
    path: '/p',
    stdout: 'out',
    stderr: 'err',
  });
});

test('a result that is cut off, or of another layout, is an error of ours', () => {
  const complete = [13, 21, 28, 34, 42];
  for (let length = 0; length < RESULT.length; length += 1) {
    if (complete.includes(length)) continue;
    assert.throws(() => decodeResult(RESULT.subarray(0, length)), isMalformed, `${length} bytes`);
  }
  for (const kind of [7, 255]) {
    const other = Buffer.from(RESULT);
    other[8] = kind;
    assert.throws(() => decodeResult(other), isMalformed);
  }
  assert.throws(() => decodeResultHeader(Buffer.from([2, 0, 0, 0, 1])), isMalformed);
  assert.throws(() => decodeResultHeader(Buffer.from([4, 0xff, 0, 0, 1])), isMalformed);
  assert.deepEqual(decodeResultHeader(Buffer.from([4, 0, 0, 1, 1])), { type: 4, lengthBytes: 257 });
});

test.run();
