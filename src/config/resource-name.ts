/**
 * Names of extended resources as Kubernetes allows them (k8s.io/kubernetes pkg/apis/core/helper,
 * IsExtendedResourceName): kubelet refuses all others at registration. They also become parts of
 * file names, so nothing that could leave a folder gets through.
 */

const LABEL = '[a-z0-9](?:[-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** `requests.<prefix>` must still be a DNS subdomain of at most 253 characters. */
const MAX_PREFIX = 253 - 'requests.'.length;

/** What is wrong with a resource prefix; `undefined` for a good one. */
export function prefixProblem(prefix: string): string | undefined {
  if (!SUBDOMAIN.test(prefix)) return `${JSON.stringify(prefix)} is not a domain in lower case, as in berth.dev`;
  if (prefix.length > MAX_PREFIX) return `the prefix has ${prefix.length} characters; ${MAX_PREFIX} are allowed`;
  if (prefix.endsWith('kubernetes.io')) return `${prefix} belongs to Kubernetes, which refuses it for plugins`;
  if (prefix.startsWith('requests.')) return `${prefix} begins with "requests.", which Kubernetes keeps for quotas`;
  return undefined;
}

/** What is wrong with the name behind the prefix; `undefined` for a good one. */
export function nameProblem(name: string): string | undefined {
  if (name.length > 63) return `the name has ${name.length} characters; 63 are allowed`;
  if (NAME.test(name)) return undefined;
  return `${JSON.stringify(name)} is not a resource name: letters, digits, "-", "_" and ".", a letter or digit at both ends`;
}
