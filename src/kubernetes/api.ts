/**
 * The few calls of the API server that Berth makes, and what their failures mean. Credentials and
 * trust are the client library's: a service account's token, which is read again when it is renewed,
 * or a kubeconfig. It is loaded only where something of the cluster is switched on: it costs memory.
 *
 * To debug: every failure names the call, the status and what the server said.
 */
import { CoreV1Api, CustomObjectsApi, PatchStrategy } from '@kubernetes/client-node';
import { callApi } from './api-call.ts';
import { ApiError } from './api-error.ts';
import { agentConfig } from './cluster-config.ts';
import { withVersions } from './definition.ts';
import { type ClusterEvent, eventBody } from './event-body.ts';
import { INVENTORY_GROUP, INVENTORY_PLURAL, INVENTORY_VERSION, type NodeNetworkInventory } from './inventory-object.ts';

/** Owner of the fields that are applied (server-side apply). */
const FIELD_MANAGER = 'berth';
/** The labels of a node are applied apart from anything else that Berth might ever apply to it. */
const LABELS_MANAGER = 'berth-node-labels';

export interface NodeTaint {
  readonly key: string;
  readonly effect?: string;
}

/** Each call ends with the signal or after 15 s, and throws {@link ApiError}. */
export interface ClusterApi {
  /**
   * `undefined` when the node has no object yet. Throws `api-resource-missing` without the definition of its
   * kind, `api-version-missing` with one of another version.
   */
  readInventory(node: string, signal: AbortSignal): Promise<unknown>;
  /** Makes or changes the node's object; other writers' fields stay. */
  applyInventory(object: NodeNetworkInventory, signal: AbortSignal): Promise<void>;
  /** Throws `node-not-registered` when the cluster has no such node. */
  readNodeUid(node: string, signal: AbortSignal): Promise<string>;
  createEvent(event: ClusterEvent, signal: AbortSignal): Promise<void>;
  readTaints(node: string, signal: AbortSignal): Promise<readonly NodeTaint[]>;
  /** Removes the taint at that place of the list, if it still has that key there. */
  removeTaint(node: string, at: number, key: string, signal: AbortSignal): Promise<void>;
  /** These labels and no other ones of Berth's. */
  applyLabels(node: string, labels: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
}

/**
 * Connects nothing yet: calls do. Without a file it is the service account of the pod.
 * @throws BerthError `Invalid` (`kubeconfig-unusable`).
 */
export function createClusterApi(kubeconfig: string | undefined): ClusterApi {
  const config = agentConfig(kubeconfig);
  const objects = config.makeApiClient(CustomObjectsApi);
  const core = config.makeApiClient(CoreV1Api);
  const place = { group: INVENTORY_GROUP, version: INVENTORY_VERSION, plural: INVENTORY_PLURAL };

  const readNode = (name: string, signal: AbortSignal) =>
    callApi(`reading node ${name}`, signal, undefined, (options) => core.readNode({ name }, options));

  return {
    async readInventory(node, signal) {
      try {
        return await callApi(`reading NodeNetworkInventory ${node}`, signal, undefined, (options) =>
          objects.getClusterCustomObject({ ...place, name: node }, options),
        );
      } catch (error) {
        if (error instanceof ApiError && error.isMissingObject) return undefined;
        throw await withVersions(error, config, signal);
      }
    },

    async applyInventory(object, signal) {
      const { name } = object.metadata;
      await callApi(`applying NodeNetworkInventory ${name}`, signal, PatchStrategy.ServerSideApply, (options) =>
        objects.patchClusterCustomObject(
          { ...place, name, body: object, fieldManager: FIELD_MANAGER, force: true },
          options,
        ),
      ).catch(async (error: unknown) => {
        throw await withVersions(error, config, signal);
      });
    },

    async readNodeUid(name, signal) {
      const { metadata } = await readNode(name, signal);
      if (metadata?.uid !== undefined) return metadata.uid;
      const message = `reading node ${name}: the answer has no uid`;
      throw new ApiError({}, { code: 'Io', reason: 'api-server-answer', message });
    },

    async createEvent(event, signal) {
      const { namespace } = event.about;
      await callApi(`creating an event in ${namespace}`, signal, undefined, (options) =>
        core.createNamespacedEvent({ namespace, body: eventBody(event) }, options),
      );
    },

    async readTaints(name, signal) {
      return (await readNode(name, signal)).spec?.taints ?? [];
    },

    async removeTaint(name, at, key, signal) {
      // The test makes it fail, and be tried anew, when somebody changed the list meanwhile.
      const body = [
        { op: 'test', path: `/spec/taints/${at}/key`, value: key },
        { op: 'remove', path: `/spec/taints/${at}` },
      ];
      await callApi(`removing the taint ${key} of node ${name}`, signal, PatchStrategy.JsonPatch, (options) =>
        core.patchNode({ name, body }, options),
      );
    },

    async applyLabels(name, labels, signal) {
      const body = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } };
      await callApi(`labelling node ${name}`, signal, PatchStrategy.ServerSideApply, (options) =>
        core.patchNode({ name, body, fieldManager: LABELS_MANAGER, force: true }, options),
      );
    },
  };
}
