/** The log that a definition asks for, and the device-info file that Multus asks for. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import type { DeviceInfoFiles } from '../../src/cni/port.ts';
import { BerthError } from '../../src/engine/errors.ts';
import { bench, MACVLAN, VF } from './calls.ts';

type Line = Readonly<Record<string, unknown>>;

function logging(failing = false) {
  const written: { path: string; lines: Line[] }[] = [];
  const parts = bench({
    networkLogs: {
      append: (path, lines) =>
        written.push({
          path,
          lines: lines
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line)),
        }),
    },
  });
  if (failing) {
    parts.engine.during = () => {
      throw new BerthError({ code: 'NotFound', reason: 'uplink-missing', message: 'no eth9' });
    };
  }
  return { ...parts, written };
}

const LEVELS: readonly (readonly [string, boolean, readonly string[]])[] = [
  ['panic', true, []],
  ['error', true, ['error']],
  ['error', false, []],
  ['warning', false, []],
  ['info', false, ['info']],
  ['debug', false, ['debug', 'info']],
  ['debug', true, ['debug', 'error']],
  ['whatever', false, ['info']],
];

for (const [logLevel, failing, expected] of LEVELS) {
  test(`at level ${logLevel} a call that ${failing ? 'fails' : 'succeeds'} writes ${expected.join(' and ') || 'nothing'}`, async () => {
    const { send, written } = logging(failing);
    await send({ config: { ...MACVLAN, logFile: '/var/log/berth/a.log', logLevel } });
    assert.deepEqual(
      written.flatMap(({ lines }) => lines.map(({ level }) => level)),
      expected,
    );
  });
}

test('a line says which call it was, and how it ended', async () => {
  const { send, written } = logging(true);
  await send({ config: { ...MACVLAN, logFile: '/var/log/berth/a.log' } });
  const [entry] = written;
  assert.equal(entry?.path, '/var/log/berth/a.log');
  const { time, request, durationMs, ...rest } = entry?.lines[0] ?? {};
  assert.match(String(time), /^\d{4}-.*Z$/);
  assert.match(String(request), /^[0-9a-f]{16}$/);
  assert.equal(typeof durationMs, 'number');
  assert.deepEqual(rest, {
    command: 'ADD',
    network: 'net-a',
    containerId: 'c0ffee',
    ifname: 'net1',
    kind: 'macvlan',
    level: 'error',
    code: 101,
    reason: 'uplink-missing',
    error: 'no eth9',
  });
});

test('a definition without a log file has none, whatever its level', async () => {
  const { send, written } = logging();
  await send({ config: { ...MACVLAN, logLevel: 'debug' } });
  await send({ config: { ...MACVLAN, logLevel: 'debug', logFile: '' } });
  assert.deepEqual(written, []);
});

function infoFiles(): DeviceInfoFiles & { readonly files: Map<string, string> } {
  const files = new Map<string, string>();
  return {
    files,
    root: '/var/run/k8s.cni.cncf.io/devinfo',
    create: (name, content) => {
      if (files.has(name)) return false;
      files.set(name, content);
      return true;
    },
    remove: (name) => void files.delete(name),
  };
}

const INFO = '/var/run/k8s.cni.cncf.io/devinfo/cni/default-net-a-c0ffee_net1';

test('a device-info file that Multus names and nobody wrote is written', async () => {
  const deviceInfo = infoFiles();
  await bench({ deviceInfo }).send({ config: { ...VF, runtimeConfig: { CNIDeviceInfoFile: INFO } } });
  const content = deviceInfo.files.get('default-net-a-c0ffee_net1') ?? '{}';
  assert.deepEqual(JSON.parse(content), { type: 'pci', version: '1.1.0', pci: { 'pci-address': '0000:41:10.1' } });
});

test('one that is there already stays as it is, also when ADD fails', async () => {
  const deviceInfo = infoFiles();
  deviceInfo.files.set('default-net-a-c0ffee_net1', 'of the device plugin');
  const { send, engine } = bench({ deviceInfo });
  engine.during = () => {
    throw new BerthError({ code: 'Busy', reason: 'device-held', message: 'held' });
  };
  await send({ config: { ...VF, runtimeConfig: { CNIDeviceInfoFile: INFO } } });
  assert.deepEqual([...deviceInfo.files.values()], ['of the device plugin']);
});

test('nothing stays of it when ADD fails, and a link without a device has none', async () => {
  const deviceInfo = infoFiles();
  const { send, engine } = bench({ deviceInfo });
  await send({ config: { ...MACVLAN, runtimeConfig: { CNIDeviceInfoFile: INFO } } });
  engine.during = () => {
    throw new BerthError({ code: 'Busy', reason: 'device-held', message: 'held' });
  };
  await send({ config: { ...VF, runtimeConfig: { CNIDeviceInfoFile: INFO } } });
  assert.equal(deviceInfo.files.size, 0);
});

for (const path of [
  '/etc/cron.d/evil',
  `${INFO}/../../evil`,
  '/var/run/k8s.cni.cncf.io/devinfo/dp/evil',
  'evil',
  '/var/run/k8s.cni.cncf.io/devinfo/cni/.evil',
]) {
  test(`a device-info file at ${path} is refused before anything is done`, async () => {
    const deviceInfo = infoFiles();
    const { send, engine } = bench({ deviceInfo });
    const { answer } = await send({ config: { ...VF, runtimeConfig: { CNIDeviceInfoFile: path } } });
    assert.equal(answer.code, 7);
    assert.match(String(answer.msg), /CNIDeviceInfoFile/);
    assert.equal(deviceInfo.files.size + engine.attached.length, 0);
  });
}

test('/run and /var/run are one folder', async () => {
  const deviceInfo = infoFiles();
  const path = INFO.replace('/var/run/', '/run/');
  assert.equal(
    (await bench({ deviceInfo }).send({ config: { ...VF, runtimeConfig: { CNIDeviceInfoFile: path } } })).exitCode,
    0,
  );
  assert.equal(deviceInfo.files.size, 1);
});

test.run();
