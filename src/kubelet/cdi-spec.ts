/**
 * One pool as a specification of the Container Device Interface: which device nodes each of its
 * devices brings. Pure; files are cdi-folder.ts's business. A device that brings no node has no
 * entry: an entry without edits is invalid.
 */

/** Device nodes by device id. */
export type CdiEntries = ReadonlyMap<string, readonly string[]>;

/** Names of devices (CNCF container-device-interface, SPEC.md, "CDI JSON Specification"). */
const DEVICE_NAME = /^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/;

/** `vendor/class` of a resource. Both begin with a letter there, and resources may begin with a digit. */
export function cdiKind(resource: string): string {
  const [vendor = '', name = ''] = resource.split('/');
  return `${/^[A-Za-z]/.test(vendor) ? vendor : `v-${vendor}`}/${/^[A-Za-z]/.test(name) ? name : `c-${name}`}`;
}

/** The name that kubelet passes to the runtime; `undefined` when CDI has no name for the id. */
export function cdiName(resource: string, id: string): string | undefined {
  return DEVICE_NAME.test(id) ? `${cdiKind(resource)}=${id}` : undefined;
}

/** A prefix has no `_`, so no two resources have one file. */
export function cdiFileName(resource: string): string {
  return `berth-pool-${resource.replace('/', '_')}.json`;
}

/** The resource of a file of ours; `undefined` for other people's. */
export function resourceOfCdiFile(file: string): string | undefined {
  const [, prefix, name] = /^berth-pool-([^_]+)_(.+)\.json$/.exec(file) ?? [];
  return prefix === undefined || name === undefined ? undefined : `${prefix}/${name}`;
}

/** The whole file. The version is the lowest that has what is used, so that older runtimes take it. */
export function cdiText(resource: string, entries: CdiEntries): string {
  const kind = cdiKind(resource);
  const devices = [...entries]
    .filter(([id, nodes]) => nodes.length > 0 && DEVICE_NAME.test(id))
    .map(([name, nodes]) => ({
      name,
      containerEdits: { deviceNodes: nodes.map((path) => ({ path, permissions: 'rw' })) },
    }));
  // 0.5 allows names of devices that begin with a digit, 0.6 a dot in the class.
  const cdiVersion = kind.slice(kind.indexOf('/')).includes('.') ? '0.6.0' : '0.5.0';
  return JSON.stringify({ cdiVersion, kind, devices });
}

/** The entries of a file that this or an earlier agent wrote; none when it is not one. */
export function cdiEntries(text: string): CdiEntries {
  try {
    const spec = JSON.parse(text) as { readonly devices: readonly SpecDevice[] };
    return new Map(
      spec.devices.map(({ name, containerEdits }) => [name, containerEdits.deviceNodes.map(({ path }) => path)]),
    );
  } catch (error) {
    // Somebody edited it: what it said is replaced by what is.
    if (error instanceof SyntaxError || error instanceof TypeError) return new Map();
    throw error;
  }
}

interface SpecDevice {
  readonly name: string;
  readonly containerEdits: { readonly deviceNodes: readonly { readonly path: string }[] };
}
