/**
 * Why the API server does not know the kind of the inventories: a 404 without a name says neither whether
 * there is a definition at all, nor that there is one of another version. Its discovery does, which
 * every authenticated client may read (`system:discovery`).
 *
 * To debug: `kubectl api-resources --api-group berth.dev`.
 */
import { ApisApi, CustomObjectsApi, type KubeConfig } from '@kubernetes/client-node';
import { callApi } from './api-call.ts';
import { ApiError } from './api-error.ts';
import { INVENTORY_GROUP, INVENTORY_PLURAL, INVENTORY_VERSION } from './inventory-object.ts';

const NEEDED = `${INVENTORY_GROUP}/${INVENTORY_VERSION}`;

/**
 * `error` itself when it is no 404 of a kind, and when discovery does not answer; otherwise in words that
 * there is no definition, or as `api-version-missing` what is there and what is needed. Never throws.
 */
export async function withVersions(error: unknown, config: KubeConfig, signal: AbortSignal): Promise<unknown> {
  if (!(error instanceof ApiError) || error.reason !== 'api-resource-missing' || error.isMissingObject) return error;
  try {
    const served = await servedVersions(config, signal);
    if (served.length === 0) return noDefinition(error);
    return served.includes(INVENTORY_VERSION) ? error : otherVersion(error, served);
  } catch {
    // The 404 is true as well, and the better answer than that discovery failed.
    return error;
  }
}

/** Versions of the group in which the kind is served. */
async function servedVersions(config: KubeConfig, signal: AbortSignal): Promise<readonly string[]> {
  const { groups } = await callApi('asking for the API groups', signal, undefined, (options) =>
    config.makeApiClient(ApisApi).getAPIVersions({}, options),
  );
  const versions = groups.find(({ name }) => name === INVENTORY_GROUP)?.versions ?? [];
  const objects = config.makeApiClient(CustomObjectsApi);
  const found: string[] = [];
  for (const { version } of versions) {
    const { resources } = await callApi(`asking for ${INVENTORY_GROUP}/${version}`, signal, undefined, (options) =>
      objects.getAPIResources({ group: INVENTORY_GROUP, version }, options),
    );
    if (resources.some(({ name }) => name === INVENTORY_PLURAL)) found.push(version);
  }
  return found;
}

function noDefinition(cause: ApiError): ApiError {
  const { remedy } = cause;
  const message = `${whatFailed(cause)}: the cluster has no definition of NodeNetworkInventory`;
  return new ApiError(
    { status: 404 },
    { code: cause.code, reason: cause.reason, message, cause, ...(remedy === undefined ? {} : { remedy }) },
  );
}

/** What was being done, without the server's word, which is only that it found nothing. */
function whatFailed({ message }: ApiError): string {
  return message.replace(/: 404.*/s, '');
}

function otherVersion(cause: ApiError, served: readonly string[]): ApiError {
  const isNewer = served.some((version) => rank(version) > rank(INVENTORY_VERSION));
  const what = served.map((version) => `${INVENTORY_GROUP}/${version}`).join(', ');
  return new ApiError(
    { status: 404 },
    {
      code: 'NotFound',
      reason: 'api-version-missing',
      message: `${whatFailed(cause)}: the cluster defines NodeNetworkInventory as ${what}, and this Berth needs ${NEEDED}`,
      remedy: isNewer
        ? 'The definition is of a newer release: update this Berth to it.'
        : 'The definition is of an older release: apply deploy/components/cluster-inventory/crd.yaml of this one.',
      cause,
    },
  );
}

/** Newer versions have higher ranks (Kubernetes, "Versions in CustomResourceDefinitions", version priority). */
function rank(version: string): number {
  const [, major = '0', stage, minor = '0'] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
  const stages = { alpha: 0, beta: 1 };
  const stageRank = stage === undefined ? 2 : stages[stage as keyof typeof stages];
  return stageRank * 1e6 + Number(major) * 1e3 + Number(minor);
}
