import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'uvu';
import { type DeviceListCall, DeviceStream } from '../../src/kubelet/device-stream.ts';
import { pluginSocketPath, requireSocketPath } from '../../src/kubelet/paths.ts';

/** A reader that takes the next message only when told. */
class SlowReader extends EventEmitter {
  cancelled = false;
  readonly sent: Buffer[] = [];
  #taken: (() => void) | undefined;

  write(message: Buffer, taken: () => void): boolean {
    this.sent.push(message);
    this.#taken = taken;
    return false;
  }

  take(): void {
    this.#taken?.();
  }

  end(): void {
    this.emit('close');
  }

  asCall(): DeviceListCall {
    return this as unknown as DeviceListCall;
  }
}

const list = (size: number): Buffer => Buffer.alloc(size);

test('a slow reader gets the first list and then only the newest', () => {
  const reader = new SlowReader();
  let size = 1;
  const stream = new DeviceStream(
    reader.asCall(),
    () => list(size),
    () => undefined,
  );
  for (size = 2; size < 1000; size++) stream.publish();
  assert.equal(reader.sent.length, 1);
  reader.take();
  assert.deepEqual(
    reader.sent.map(({ length }) => length),
    [1, 1000],
  );
  reader.take();
  assert.equal(reader.sent.length, 2);
});

for (const event of ['cancelled', 'close', 'error']) {
  test(`a stream that ends by ${event} says so once and sends nothing more`, () => {
    const reader = new SlowReader();
    let ends = 0;
    const stream = new DeviceStream(
      reader.asCall(),
      () => list(1),
      () => ends++,
    );
    reader.emit(event, new Error('gone'));
    reader.emit('close');
    reader.take();
    stream.publish();
    assert.equal(ends, 1);
    assert.equal(reader.sent.length, 1);
  });
}

test('a socket path that is too long gets a short name, and one that cannot be short is refused', () => {
  assert.equal(pluginSocketPath('/run', 'a.b/c'), '/run/berth-a.b_c.sock');
  const long = pluginSocketPath(`/${'d'.repeat(60)}`, `a.b/${'c'.repeat(63)}`);
  assert.match(long, /^\/d{60}\/berth-[0-9a-f]{16}\.sock$/);
  assert.notEqual(long, pluginSocketPath(`/${'d'.repeat(60)}`, `a.b/${'e'.repeat(63)}`));
  assert.throws(() => pluginSocketPath(`/${'d'.repeat(100)}`, 'a.b/c'), /has 129 bytes; the kernel allows 107/);
  assert.equal(requireSocketPath('x'.repeat(107)).length, 107);
  assert.throws(() => requireSocketPath('x'.repeat(108)), { reason: 'socket-path-too-long' });
});

test.run();
