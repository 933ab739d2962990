/** Who speaks to which API server, out of a kubeconfig file: certificates, tokens, and files of either. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';

export interface ApiAccess {
  readonly server: URL;
  readonly ca?: Buffer;
  readonly insecure: boolean;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly token?: string;
}

type Entry = Readonly<Record<string, unknown>>;

/** Reads the current context. Throws with the file's name and what is missing in it. */
export function readKubeConfig(path: string): ApiAccess {
  const document = parse(readFileSync(path, 'utf8')) as Record<string, unknown> | null;
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  const named = (list: string, name: unknown, field: string): Entry => {
    const entries = (document?.[list] ?? []) as readonly Entry[];
    const found = entries.find((entry) => entry.name === name)?.[field];
    return (found as Entry | undefined) ?? fail(`has no entry ${JSON.stringify(name)} under ${list}`);
  };
  const context = named('contexts', document?.['current-context'], 'context');
  const cluster = named('clusters', context.cluster, 'cluster');
  const user = named('users', context.user, 'user');
  const bytes = (entry: Entry, key: string): Buffer | undefined => {
    const inline = entry[`${key}-data`];
    if (typeof inline === 'string') return Buffer.from(inline, 'base64');
    const file = entry[key];
    return typeof file === 'string' ? readFileSync(resolve(dirname(path), file)) : undefined;
  };
  if (user.exec !== undefined || user['auth-provider'] !== undefined) {
    fail('its user logs in by another program, which is not supported: give one with a certificate or a token');
  }
  if (typeof cluster.server !== 'string') fail('its cluster has no server');
  const tokenFile = user.tokenFile;
  const token =
    typeof tokenFile === 'string' ? readFileSync(resolve(dirname(path), tokenFile), 'utf8').trim() : user.token;
  const [ca, cert, key] = [
    bytes(cluster, 'certificate-authority'),
    bytes(user, 'client-certificate'),
    bytes(user, 'client-key'),
  ];
  return {
    server: new URL(String(cluster.server)),
    insecure: cluster['insecure-skip-tls-verify'] === true,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(typeof token === 'string' ? { token } : {}),
  };
}
