/** Kubelet's judgement of a resource name: only extended resources can be registered. */

/** The refusal's text; `undefined` for a good name. */
export function resourceNameProblem(resource: string): string | undefined {
  const [prefix = '', name = '', ...rest] = resource.split('/');
  const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
  const isGood =
    rest.length === 0 &&
    new RegExp(`^${label}(\\.${label})*$`).test(prefix) &&
    prefix.length <= 253 - 'requests.'.length &&
    !prefix.startsWith('requests.') &&
    !prefix.endsWith('kubernetes.io') &&
    name.length <= 63 &&
    /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(name);
  return isGood ? undefined : `the ResourceName "${resource}" is invalid`;
}
