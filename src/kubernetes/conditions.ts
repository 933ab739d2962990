/**
 * How a node stands, as conditions in the API's own form (meta/v1, Condition). The same rules decide
 * what the object of the node says and which events are sent: an event is a condition that changed.
 */
import { type AgentStatus, offersNothing } from '../engine/view.ts';

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False';
  /** In CamelCase; also the reason of the event that tells of it. */
  readonly reason: string;
  readonly message: string;
  /** RFC 3339, in whole seconds. */
  readonly lastTransitionTime: string;
}

type Judgement = Pick<Condition, 'type' | 'reason' | 'message'> & { readonly holds: boolean };

/** The conditions now. A condition that stands as before keeps the time since when it does. */
export function conditionsOf(status: AgentStatus, before: readonly Condition[], now: Date): readonly Condition[] {
  const at = `${now.toISOString().slice(0, 19)}Z`;
  return judge(status).map(({ type, holds, reason, message }) => {
    const stands = holds ? 'True' : 'False';
    const earlier = before.find((condition) => condition.type === type && condition.status === stands);
    return { type, status: stands, reason, message, lastTransitionTime: earlier?.lastTransitionTime ?? at };
  });
}

function judge(status: AgentStatus): readonly Judgement[] {
  const registered = status.resources.filter((resource) => resource.registered);
  // As readiness has it: a resource without a device need not be announced.
  const unregistered = status.resources.filter(({ devices, registered: isKnown }) => devices > 0 && !isKnown);
  const unhealthy = status.resources.filter(
    ({ devices, healthy, usedElsewhere = 0 }) => healthy + usedElsewhere < devices,
  );
  const isIdle = offersNothing(status);
  const { stuck, unreadable } = status.attachments;
  const { problem } = status.inventory;
  return [
    {
      type: 'Ready',
      holds: unregistered.length === 0 && !isIdle,
      reason: unregistered.length === 0 && !isIdle ? 'ResourcesRegistered' : 'ResourcesNotRegistered',
      message: isIdle
        ? 'nothing is offered, because the configuration cannot be used'
        : unregistered.map((each) => `${each.resource}: ${each.problem ?? 'not registered yet'}`).join('; ') ||
          `kubelet knows ${counted(registered.length, 'resource')}`,
    },
    {
      type: 'ConfigurationValid',
      holds: status.configuration.problems.length === 0,
      reason: status.configuration.problems.length === 0 ? 'ConfigurationUsed' : 'ConfigurationRefused',
      message: status.configuration.problems.join('; ') || `${status.configuration.source} is in use`,
    },
    {
      type: 'DevicesHealthy',
      holds: unhealthy.length === 0,
      reason: unhealthy.length === 0 ? 'DevicesHealthy' : 'DevicesUnhealthy',
      message:
        unhealthy
          .map(
            ({ resource, devices, healthy, reasons }) =>
              `${resource}: ${devices - healthy} of ${devices} (${reasons.join(', ')})`,
          )
          .join('; ') || 'every device that is offered is healthy',
    },
    {
      type: 'AttachmentsClean',
      holds: stuck === 0 && unreadable === 0,
      reason: stuck === 0 && unreadable === 0 ? 'AttachmentsClean' : 'AttachmentsStuck',
      message:
        stuck === 0 && unreadable === 0
          ? 'nothing is left to restore'
          : `${counted(stuck, 'attachment')} cannot be restored yet, ${counted(unreadable, 'record')} cannot be read; \`berth attachments\` on the node says why`,
    },
    {
      type: 'InventoryCurrent',
      holds: problem === undefined,
      reason: problem === undefined ? 'InventoryCurrent' : 'InventoryOld',
      message: problem ?? 'the inventory is as the kernel tells it',
    },
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
