/** What the API server's discovery says of the inventories (Kubernetes, "API Concepts", discovery, unaggregated). */

/** Of `GET path`, when the kind is served in these versions; `undefined` when that path is none of discovery's. */
export function discovery(path: string, served: readonly string[]): object | undefined {
  const version = /^\/apis\/berth\.dev\/([^/]+)\/?$/.exec(path)?.[1];
  if (version !== undefined && served.includes(version)) {
    const resources = [{ name: 'nodenetworkinventories', kind: 'NodeNetworkInventory' }];
    return { kind: 'APIResourceList', groupVersion: `berth.dev/${version}`, resources };
  }
  if (path.replace(/\/$/, '') !== '/apis') return undefined;
  const versions = served.map((each) => ({ groupVersion: `berth.dev/${each}`, version: each }));
  const groups = versions.length === 0 ? [] : [{ name: 'berth.dev', versions }];
  return { kind: 'APIGroupList', groups: [{ name: 'apps', versions: [] }, ...groups] };
}
