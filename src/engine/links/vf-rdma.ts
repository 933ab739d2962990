/**
 * The RDMA devices of a VF. Where the subsystem gives each namespace its own ones (`rdma system set
 * netns exclusive`), a device is of use only in the namespace of its netdev, so both move together.
 * Debug: `rdma dev` on the node and in the sandbox.
 */
import type { VfLinkSpec } from '../attachments/model.ts';
import type { Namespace, PciFunction } from '../attachments/port.ts';
import { BerthError, toBerthError } from '../errors.ts';
import type { LinkContext, SandboxView } from './link-driver.ts';

/**
 * Names of the devices that are to move with the netdev. Throws `Unsupported` (`rdma-not-exclusive`)
 * and `NotFound` (`rdma-device-gone`) where isolation was asked for and cannot be had.
 */
export async function rdmaToMove(context: LinkContext, spec: VfLinkSpec, fn: PciFunction): Promise<readonly string[]> {
  if (spec.rdma === undefined) return [];
  const devices = fn.rdma ?? [];
  if (devices.length === 0 && spec.rdma === 'where-exclusive') return [];
  const mode = await context.kernel.rdma.mode();
  if (mode === 'exclusive' && devices.length > 0) return devices;
  if (spec.rdma === 'where-exclusive') return [];
  if (mode !== 'exclusive') {
    throw new BerthError({
      code: 'Unsupported',
      reason: 'rdma-not-exclusive',
      message: `rdmaIsolation is asked for VF ${spec.device}, and RDMA devices ${mode === undefined ? 'are unknown to this kernel' : 'are shared by all namespaces'}`,
      remedy: 'Set `rdma system set netns exclusive` while no pod uses RDMA, or leave rdmaIsolation out.',
    });
  }
  throw new BerthError({
    code: 'NotFound',
    reason: 'rdma-device-gone',
    message: `rdmaIsolation is asked for VF ${spec.device}, which has no RDMA device on the node`,
    remedy: 'Compare with `rdma dev`; its driver may need a module, or another namespace has the device.',
  });
}

/** Moves them into the sandbox, one after another. */
export async function moveRdmaIn(context: LinkContext, names: readonly string[], sandbox: Namespace): Promise<void> {
  for (const name of names) await context.kernel.rdma.move(name, context.kernel.host, sandbox);
}

/** Moves them home from a sandbox that lives; from one that died the kernel brings them itself. One sentence each that failed. */
export async function bringRdmaHome(
  context: LinkContext,
  names: readonly string[],
  sandbox: SandboxView,
): Promise<readonly string[]> {
  const { rdma, host } = context.kernel;
  const problems: string[] = [];
  for (const name of names) {
    try {
      if (sandbox.state !== 'open' || (await rdma.has(host, name))) continue;
      if (await rdma.has(sandbox.namespace, name)) await rdma.move(name, sandbox.namespace, host);
    } catch (error) {
      problems.push(`moving RDMA device ${name} home failed: ${toBerthError(error).message}`);
    }
  }
  return problems;
}

/** RDMA devices that are not in the sandbox, one sentence each. */
export async function compareRdma(
  context: LinkContext,
  names: readonly string[],
  sandbox: Namespace,
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const name of names) if (!(await context.kernel.rdma.has(sandbox, name))) missing.push(name);
  return missing.map((name) => `RDMA device ${name} is not in the sandbox`);
}
