/** host-device: which device of the node is meant, by exactly one of the names that a device has. */
import type { HostDeviceLinkSpec, HostDeviceName } from '../../engine/attachments/model.ts';
import { asMacAddress, asPciAddress } from '../../engine/values.ts';
import type { ConfigProblem } from '../config.ts';
import { optional } from '../optional.ts';
import { deviceOf, type LinkSource, macOf } from './source.ts';

/** `mlx5_core.sf.2`: driver, kind and number of an auxiliary device (Documentation/driver-api/auxiliary_bus.rst). */
const AUXILIARY = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[0-9]+$/;
const DEVICES = '/sys/devices/';

export async function parseHostDevice(source: LinkSource, problems: ConfigProblem[]): Promise<HostDeviceLinkSpec> {
  const { config, args } = source;
  const names = namesIn(source, problems);
  const [first, ...others] = names;
  if (first === undefined && problems.length === 0) {
    problems.push({
      path: 'device',
      message:
        'no device is named: one of device, hwaddr, kernelpath and pciBusID is needed, or a device that the pod was given',
    });
  }
  // What the pod was given decides; the reference plugin takes the first of the others, which nobody means.
  if (others.length > 0 && source.config.runtimeConfig?.deviceID === undefined) {
    problems.push({
      path: names[1]?.path ?? 'device',
      message: `${names.map(({ path }) => path).join(' and ')} name devices, and one is needed`,
    });
  }
  return {
    kind: 'host-device',
    device: first?.name ?? { by: 'name', name: '' },
    ...optional('mac', macOf(config, args, problems)),
  };
}

interface Named {
  readonly path: string;
  readonly name: HostDeviceName;
}

function namesIn({ config }: LinkSource, problems: ConfigProblem[]): readonly Named[] {
  const names: Named[] = [];
  const given = deviceOf(config);
  if (given !== undefined) {
    const address = asPciAddress(given);
    const path = config.runtimeConfig?.deviceID === given ? 'runtimeConfig.deviceID' : 'pciBusID';
    if (address !== undefined) names.push({ path, name: { by: 'pci', address } });
    else if (AUXILIARY.test(given)) names.push({ path, name: { by: 'auxiliary', id: given } });
    else
      problems.push({
        path,
        message: `${JSON.stringify(given)} is neither a PCI address nor an auxiliary device (driver.kind.number)`,
      });
  }
  if (filled(config.device)) names.push({ path: 'device', name: { by: 'name', name: config.device } });
  if (filled(config.hwaddr)) {
    const mac = asMacAddress(config.hwaddr);
    if (mac === undefined)
      problems.push({ path: 'hwaddr', message: `${JSON.stringify(config.hwaddr)} is no hardware address` });
    else names.push({ path: 'hwaddr', name: { by: 'hwaddr', mac } });
  }
  if (filled(config.kernelpath)) {
    if (config.kernelpath.startsWith(DEVICES) && !config.kernelpath.split('/').includes('..'))
      names.push({ path: 'kernelpath', name: { by: 'kernelpath', path: config.kernelpath } });
    else
      problems.push({
        path: 'kernelpath',
        message: `${JSON.stringify(config.kernelpath)} is no path below ${DEVICES}`,
      });
  }
  return names;
}

function filled(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}
