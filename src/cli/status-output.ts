/** Text of `berth status`, `attachments` and `explain`. Pure: data in, text out. */
import type { AttachmentSummary, PodIdentity } from '../engine/attachments/model.ts';
import type { AgentStatus, DeviceOwner, Explanation, ResourceStatus } from '../engine/view.ts';
import { age, printable, renderTable } from './table.ts';

export function renderStatus(status: AgentStatus, now: Date): string {
  const { attachments, configuration, inventory, spool } = status;
  const facts = [
    `node ${status.node}, berth ${status.version}, up ${age(status.startedAt, now)}`,
    `inventory: ${inventory.nics} NICs, ${inventory.vfs} VFs, read ${age(inventory.readAt, now)} ago${note(inventory.problem)}`,
    `configuration: ${configuration.source}${note(configurationNote(configuration, now))}`,
    ...configuration.problems.map((problem) => `  not used${runsInstead(configuration)}: ${problem}`),
    ...configuration.warnings.map((warning) => `  ${warning}`),
    `attachments: ${attachments.total}${note(counted(attachments.stuck, 'stuck'))}${note(counted(attachments.unreadable, 'unreadable'))}`,
    `spool: ${spool.entries} waiting${note(counted(spool.unreadable, 'unreadable'))}`,
    ...(status.installation === undefined
      ? []
      : [
          `shim: in ${status.installation.folder} as ${status.installation.names.join(', ')}${note(status.installation.problem)}`,
        ]),
    ...clusterLines(status),
    `process: ${Math.round(status.process.rssBytes / 2 ** 20)} MiB, event loop held ${status.process.eventLoopMaxMs.toFixed(1)} ms at most`,
  ];
  const rows = status.resources.map((resource) => [
    resource.resource,
    String(resource.devices),
    String(resource.healthy),
    resource.registered ? (resource.mode ?? 'yes') : 'no',
    [
      ...(resource.problem === undefined ? [] : [resource.problem]),
      ...resource.reasons,
      ...tenancyNotes(resource, now),
    ].join('; '),
  ]);
  return `${lines(facts)}\n${renderTable(['RESOURCE', 'DEVICES', 'HEALTHY', 'REGISTERED', 'NOTE'], rows)}`;
}

function clusterLines({ cluster }: AgentStatus): readonly string[] {
  if (cluster === undefined) return [];
  const { inventory, events, labels, startupTaint } = cluster;
  const parts = [
    ...(inventory === undefined
      ? []
      : [`inventory kept, ${inventory.writes} written since the start${note(inventory.problem)}`]),
    ...(events === undefined
      ? []
      : [`${events.sent} events sent${note(counted(events.dropped, 'dropped'))}${note(events.problem)}`]),
    ...(labels === undefined ? [] : [`labels${note(labels.problem) || ' kept'}`]),
    ...(startupTaint === undefined
      ? []
      : [`start-up taint ${startupTaint.removed ? 'removed' : 'not removed yet'}${note(startupTaint.problem)}`]),
  ];
  return [`cluster: ${parts.join(', ')}`];
}

function tenancyNotes({ namespaces, refused }: ResourceStatus, now: Date): readonly string[] {
  if (namespaces === undefined) return [];
  const last = refused === undefined ? '' : `, last pod ${refused.lastPod} ${age(refused.lastAt, now)} ago`;
  const count =
    refused === undefined
      ? []
      : [`refused ${refused.count} attachment${refused.count === 1 ? '' : 's'} from elsewhere${last}`];
  return [`for namespaces ${namespaces.join(', ')}`, ...count];
}

/** What a broken file does not change, behind a comma; an older agent does not tell. */
export function runsInstead({ running }: AgentStatus['configuration']): string {
  switch (running) {
    case 'file':
      return ', what it said before runs on';
    case 'built-in':
      return ', the built-in configuration runs on';
    case 'nothing':
      return ', nothing is offered until it is mended';
    case undefined:
      return '';
    default:
      return running satisfies never;
  }
}

function configurationNote(
  { brokenSince, reloads, takenAt }: AgentStatus['configuration'],
  now: Date,
): string | undefined {
  const taken = takenAt === undefined ? undefined : `taken ${age(takenAt, now)} ago`;
  if (brokenSince !== undefined) {
    return [taken, `${taken === undefined ? '' : 'the newest one is '}broken since ${age(brokenSince, now)}`]
      .filter(Boolean)
      .join('; ');
  }
  return reloads === undefined || reloads.taken === 0 ? undefined : taken;
}

function note(text: string | undefined): string {
  return text === undefined ? '' : ` (${text})`;
}

function counted(count: number, what: string): string | undefined {
  return count === 0 ? undefined : `${count} ${what}`;
}

export function renderAttachments(list: readonly AttachmentSummary[], now: Date): string {
  if (list.length === 0) return 'No attachments.\n';
  const rows = list.map((entry) => [
    podName(entry.pod),
    entry.ifname,
    entry.kind,
    entry.slot ?? entry.device,
    entry.network,
    entry.addresses.join(','),
    entry.state,
    age(entry.createdAt, now),
    entry.containerId.slice(0, 12),
    entry.problem ?? '',
  ]);
  const header = ['POD', 'IFNAME', 'KIND', 'DEVICE', 'NETWORK', 'ADDRESSES', 'STATE', 'AGE', 'CONTAINER', 'NOTE'];
  return renderTable(header, rows);
}

function podName(pod: PodIdentity | undefined): string {
  return pod === undefined ? '' : `${pod.namespace}/${pod.name}`;
}

export function renderExplanation(explanation: Explanation, now: Date): string {
  const { allocation, device, ifname, what, names = [], owner, carriesNode } = explanation;
  const name = ifname === undefined || ifname === device ? '' : ` (${ifname})`;
  const facts = [
    `${device}${name}: ${what}`,
    ...(names.length === 0 ? [] : [`also ${names.join(', ')}`]),
    ...(owner === undefined ? [] : [`in ${ownerName(owner)} as ${owner.ifname} for ${age(owner.since, now)}`]),
    ...(owner !== undefined || allocation === undefined
      ? []
      : [`kubelet gave it to pod ${allocation.pod}, container ${allocation.container}`]),
    ...(carriesNode === undefined ? [] : [`carries the node: ${carriesNode}`]),
    ...explanation.offered.map(offerLine),
  ];
  const rows = explanation.verdicts.map((verdict) => [verdict.resource, verdict.takes ? 'yes' : 'no', verdict.why]);
  return `${lines(facts)}\n${renderTable(['POOL', 'TAKES', 'WHY'], rows)}`;
}

/** Everything in them may have come from somewhere else. */
function lines(facts: readonly string[]): string {
  return facts.map((fact) => `${printable(fact)}\n`).join('');
}

function ownerName(owner: DeviceOwner): string {
  return owner.pod === undefined ? `container ${owner.containerId.slice(0, 12)}` : `pod ${owner.pod}`;
}

function offerLine({ resource, healthy, reason, slots }: Explanation['offered'][number]): string {
  const share = slots === undefined ? '' : ` (${slots} slots)`;
  return `offered as ${resource}${share}${healthy ? '' : `, unhealthy: ${reason ?? 'unknown'}`}`;
}
