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
  const fail = (what: string): never => {
    throw new Error(`${path}: ${what}`);
  };
  const document = parsed(path);
  const named = (list: string, name: unknown, field: string): Entry => {
    const entries = (document[list] ?? []) as readonly Entry[];
    const found = entries.find((entry) => entry.name === name)?.[field];
    return (found as Entry | undefined) ?? fail(`has no entry ${JSON.stringify(name)} under ${list}`);
  };
  const context = named('contexts', document['current-context'], 'context');
  const cluster = named('clusters', context.cluster, 'cluster');
  const user = named('users', context.user, 'user');
  const bytes = (entry: Entry, key: string): Buffer | undefined => {
    const inline = entry[`${key}-data`];
    if (typeof inline === 'string') return Buffer.from(inline, 'base64');
    const file = entry[key];
    return typeof file === 'string' ? contents(resolve(dirname(path), file)) : undefined;
  };
  if (user.exec !== undefined || user['auth-provider'] !== undefined) {
    fail('its user logs in by another program, which is not supported: give one with a certificate or a token');
  }
  if (!URL.canParse(String(cluster.server))) fail(`its cluster's server is no address: ${String(cluster.server)}`);
  const tokenFile = user.tokenFile;
  const token = typeof tokenFile === 'string' ? String(contents(resolve(dirname(path), tokenFile))).trim() : user.token;
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

function contents(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function parsed(path: string): Readonly<Record<string, unknown>> {
  const document: unknown = parseYaml(path, contents(path).toString());
  if (typeof document !== 'object' || document === null || !('clusters' in document)) {
    throw new Error(`${path} is no kubeconfig: it has no clusters`);
  }
  return document as Readonly<Record<string, unknown>>;
}

function parseYaml(path: string, text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`${path} is no kubeconfig: ${error instanceof Error ? error.message : String(error)}`);
  }
}
