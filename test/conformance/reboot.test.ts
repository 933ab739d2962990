/**
 * A node before and after a reboot at which every bus got another number and every interface another
 * name: pools that select by the hardware's own identity have the same ports, read from two trees.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { parseConfig } from '../../src/config/index.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { explain } from '../../src/engine/pools/explain.ts';
import { NO_HOLDS } from '../../src/engine/pools/holds.ts';
import type { PoolContext, PoolSpec } from '../../src/engine/pools/model.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import type { PfSpec } from '../trees/generate.ts';
import { withTree } from '../trees/temporary.ts';

const test = suite('reboot');

/** Two ports of one card, and a card of its own. */
const CARD = { serial: 'MT2042X00123', macs: ['3c:fd:fe:00:00:01', '3c:fd:fe:00:00:02'] } as const;
const OTHER = { serial: 'Y7', mac: '3c:fd:fe:00:00:09' } as const;

function ports(first: { card: string; other: string; names: readonly string[] }): readonly PfSpec[] {
  const [one, two, three] = first.names;
  return [
    port(`${first.card}.0`, one, CARD.serial, CARD.macs[0]),
    port(`${first.card}.1`, two, CARD.serial, CARD.macs[1]),
    port(`${first.other}.0`, three, OTHER.serial, OTHER.mac),
  ];
}

function port(address: string, ifname: string | undefined, serial: string, mac: string): PfSpec {
  // Functions of one card share a bus, so their VFs must not meet: function 1 has none.
  const vfs = address.endsWith('.0') ? 4 : 0;
  return { address, ...(ifname === undefined ? {} : { ifname }), vfs, vpd: vpdOf(serial), netdev: { mac } };
}

/** VPD-R with the serial number alone (PCI Local Bus Specification 3.0, appendix I). */
function vpdOf(serial: string): Uint8Array {
  const field = Buffer.concat([Buffer.from('SN'), Buffer.from([serial.length]), Buffer.from(serial)]);
  return Buffer.concat([Buffer.from([0x90, field.length, 0]), field, Buffer.from([0x78])]);
}

const BEFORE = ports({ card: '0000:10:00', other: '0000:20:00', names: ['enp16s0f0', 'enp16s0f1', 'enp32s0'] });
/** The cards have changed places too: the other one is found first now. */
const AFTER = ports({ card: '0000:43:00', other: '0000:10:00', names: ['enp67s0f0', 'enp67s0f1', 'enp16s0f0'] });

const CONFIG = `pools:
  - {name: by-serial, kind: vf, selectors: [{pfSerials: ["${CARD.serial}@0#0-1"]}]}
  - {name: by-mac, kind: vf, selectors: [{pfMacs: ["${OTHER.mac}#2,3"]}]}
  - {name: by-name, kind: vf, selectors: [{pfNames: [enp16s0f0]}]}
  - {name: shared, kind: macvlan, capacity: 1, uplinks: [{serials: ["${CARD.serial}@1"]}, {macs: ["${OTHER.mac}"]}]}
`;

const parsed = parseConfig(CONFIG, 'config.yaml');
const specs: readonly PoolSpec[] = parsed.config?.pools ?? [];

async function read(pfs: readonly PfSpec[]): Promise<PoolContext> {
  let inventory: Inventory | undefined;
  await withTree({ pfs }, async ({ dir }) => {
    inventory = await createNodeReader({ root: dir }).read();
  });
  assert.ok(inventory);
  return { inventory, heldDevices: NO_HOLDS.devices, uplinkUse: NO_HOLDS.uplinks };
}

/** Devices of each pool as `<permanent address of the port>[#VF]`. */
function portsOf(context: PoolContext): Readonly<Record<string, readonly string[]>> {
  const names = new Map<string, string>();
  for (const nic of context.inventory.nics) {
    const mac = nic.netdev?.mac ?? nic.address;
    if (nic.ifname !== undefined) names.set(`${nic.ifname}-0`, mac);
    for (const vf of nic.vfs) names.set(vf.address, `${mac}#${vf.index}`);
  }
  return Object.fromEntries(
    evaluate(specs, context).pools.map(({ spec, devices }) => [
      spec.resource.replace('berth.dev/', ''),
      devices.map(({ id }) => names.get(id) ?? id).sort(),
    ]),
  );
}

test('the file is good', () => assert.deepEqual(parsed.problems, []));

test('pools by serial number and hardware address have the same ports after a reboot', async () => {
  const [before, after] = [portsOf(await read(BEFORE)), portsOf(await read(AFTER))];
  const expected = {
    'by-serial': [`${CARD.macs[0]}#0`, `${CARD.macs[0]}#1`],
    'by-mac': [`${OTHER.mac}#2`, `${OTHER.mac}#3`],
    shared: [CARD.macs[1], OTHER.mac],
  };
  for (const [pool, devices] of Object.entries(expected)) {
    assert.deepEqual(before[pool], devices, `${pool} before`);
    assert.deepEqual(after[pool], devices, `${pool} after`);
  }
});

test('a pool by interface name has another card after it: what the stable names are for', async () => {
  assert.deepEqual(portsOf(await read(BEFORE))['by-name'], [`${CARD.macs[0]}#2`, `${CARD.macs[0]}#3`]);
  assert.deepEqual(portsOf(await read(AFTER))['by-name'], [`${OTHER.mac}#0`, `${OTHER.mac}#1`]);
});

for (const [name, before, after] of [
  [`${CARD.serial}@0#3`, '0000:10:02.3', '0000:43:02.3'],
  [`${CARD.serial}@1`, '0000:10:00.1', '0000:43:00.1'],
  [`${OTHER.serial}#0`, '0000:20:02.0', '0000:10:02.0'],
  [`${OTHER.mac}#0`, '0000:20:02.0', '0000:10:02.0'],
  [OTHER.mac.toUpperCase(), '0000:20:00.0', '0000:10:00.0'],
] as const) {
  test(`${name} is the same place at both boots`, async () => {
    assert.equal(explain(specs, await read(BEFORE), name)?.device, before);
    assert.equal(explain(specs, await read(AFTER), name)?.device, after);
  });
}

test.run();
