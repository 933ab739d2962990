/** Facts of the machine itself, from the files of its tree. */
import type { NodeFacts } from '../../engine/inventory/model.ts';
import { line, numberList, word } from './parse.ts';
import { attributeOf, entriesOf, type Place, realOf, type Scan, textOf } from './scan.ts';

const at = (path: string): Place => ({ home: path, name: path });

/** `name` is the host's name unless the caller knows better (kubelet's node name). */
export function readNodeFacts(scan: Scan, name: string | undefined): NodeFacts {
  const kernel = at('proc/sys/kernel');
  const bootId = attributeOf(scan, at('proc/sys/kernel/random'), 'boot_id', word);
  const release = attributeOf(scan, kernel, 'osrelease', word);
  const architecture = attributeOf(scan, kernel, 'arch', word);
  const machine = machineOf(scan);
  const cpus = attributeOf(scan, at('sys/devices/system/cpu'), 'online', numberList)?.length;
  const memoryBytes = memoryOf(scan);
  const numaNodes = attributeOf(scan, at('sys/devices/system/node'), 'online', numberList);
  return {
    name: name ?? attributeOf(scan, kernel, 'hostname', word) ?? 'unknown',
    ...(bootId === undefined ? {} : { bootId }),
    ...(release === undefined ? {} : { kernel: release }),
    ...(architecture === undefined ? {} : { architecture }),
    ...(machine === undefined ? {} : { machine }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(numaNodes === undefined ? {} : { numaNodes }),
    iommu: entriesOf(scan, 'sys/kernel/iommu_groups').length > 0,
  };
}

function machineOf(scan: Scan): string | undefined {
  const name = 'sys/class/dmi/id';
  const home = realOf(scan, name);
  if (home === undefined) return undefined;
  const parts = ['sys_vendor', 'product_name'].flatMap(
    (attribute) => attributeOf(scan, { home, name }, attribute, line) ?? [],
  );
  return parts.length === 0 ? undefined : parts.join(' ');
}

/** `MemTotal`, which the kernel gives in KiB. */
function memoryOf(scan: Scan): number | undefined {
  const kibibytes = /^MemTotal:\s+([0-9]{1,15}) kB$/m.exec(textOf(scan, at('proc'), 'meminfo') ?? '')?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}
