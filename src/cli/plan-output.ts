/**
 * Text of `berth plan`: pools, what two pools want, what is left out, what changes, which pods are
 * concerned. Devices that have the same to say are one line. Pure: data in, text out.
 */
import type { DeviceMove, PlanChanges, PodConcern } from '../engine/pools/plan-changes.ts';
import type { Overlap } from '../engine/pools/plan-overlaps.ts';
import type { PlannedPool, PlanReport } from '../engine/pools/plan-report.ts';
import { labelOf, type Placed } from './device-ranges.ts';
import { printable, renderTable } from './table.ts';

/** `wide` prints a line for each device. */
export type PlanDetail = 'table' | 'wide';

/** `against` names what the changes are against. */
export function renderPlan(report: PlanReport, detail: PlanDetail, against = 'the running configuration'): string {
  const pools = report.pools.flatMap((pool) => poolRows(pool, report, detail));
  const sections = [
    renderTable(['RESOURCE', 'DEVICES', 'WHICH', 'NUMA', 'NOTE'], pools),
    section('Wanted by several pools', ['DEVICE', 'HAS IT', 'WANTS IT TOO'], overlapRows(report.overlaps, detail)),
    section('In no pool', ['DEVICE', 'WHY'], unusedRows(report.unused, detail)),
    ...(report.changes === undefined ? [] : changeSections(report.changes, detail, against)),
  ];
  return sections.join('');
}

function changeSections(changes: PlanChanges, detail: PlanDetail, against: string): readonly string[] {
  const { devices, pods, resources } = changes;
  if (devices.length + pods.length + resources.appearing.length + resources.disappearing.length === 0) {
    return [`\nNothing changes against ${printable(against)}.\n`];
  }
  return [
    resourceLines(resources, against),
    section(`Devices that change against ${against}`, ['DEVICE', 'NOW', 'THEN'], moveRows(devices, detail)),
    section('Pods concerned', ['POD', 'INTERFACE', 'DEVICE', 'WHAT'], pods.map(podRow)),
  ];
}

function section(title: string, header: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? '' : `\n${printable(title)}:\n${renderTable(header, rows)}`;
}

function poolRows(pool: PlannedPool, report: PlanReport, detail: PlanDetail): readonly (readonly string[])[] {
  const remarks = [
    ...(pool.namespaces === undefined ? [] : [`for namespaces ${pool.namespaces.join(', ')}`]),
    ...pool.notes,
  ];
  if (pool.devices.length === 0) {
    return [[pool.resource, '0', '', '', [whyEmpty(pool, report.overlaps), ...remarks].join('; ')]];
  }
  const groups = grouped(pool.devices, detail, ({ id, healthy, numaNode, reason, uplink }) => [
    uplink ?? (detail === 'wide' ? id : ''),
    healthy ? '' : (reason ?? ''),
    String(numaNode ?? ''),
  ]);
  return groups.map((devices, at) => {
    const [first] = devices;
    const health = first?.healthy === false ? [`unhealthy: ${first.reason ?? 'unknown'}`] : [];
    return [
      at === 0 ? pool.resource : ' ',
      String(devices.length),
      first?.uplink === undefined ? labelOf(devices, ({ id }) => id) : `slots of ${first.uplink}`,
      first?.numaNode === undefined ? '' : String(first.numaNode),
      [...(at === 0 ? remarks : []), ...health].join('; '),
    ];
  });
}

/** A pool that stays empty because others come first is a mistake that is hard to see. */
function whyEmpty({ resource }: PlannedPool, overlaps: readonly Overlap[]): string {
  const lost = overlaps.filter(({ losers }) => losers.some((loser) => loser.resource === resource));
  if (lost.length === 0) return 'no device matches';
  const winners = [...new Set(lost.map(({ winner }) => winner))];
  const what = lost.length === 1 ? 'the only device' : `all ${lost.length} devices`;
  return `${winners.join(', ')} ${winners.length === 1 ? 'has' : 'have'} ${what} that it selects`;
}

function overlapRows(overlaps: readonly Overlap[], detail: PlanDetail): readonly (readonly string[])[] {
  const wordsOf = (overlap: Overlap, alike: boolean) =>
    overlap.losers.map(({ resource, why }) => `${resource} (${alike ? impersonal(why, overlap) : why})`).join('; ');
  return grouped(overlaps, detail, (overlap) => [overlap.winner, wordsOf(overlap, true)]).map((group) => {
    const [first] = group;
    if (first === undefined) return [];
    return [labelOf(group, ({ device }) => device), first.winner, wordsOf(first, group.length > 1)];
  });
}

function unusedRows(unused: PlanReport['unused'], detail: PlanDetail): readonly (readonly string[])[] {
  const reasonsOf = (entry: PlanReport['unused'][number], rename: boolean) =>
    entry.reasons.map((reason) => (rename ? impersonal(reason, entry) : reason));
  return grouped(unused, detail, (entry) => reasonsOf(entry, true)).flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const [reason = '', ...more] = reasonsOf(first, group.length > 1);
    const label = labelOf(group, (entry) => entry.address ?? entry.scalable ?? entry.ifname ?? '');
    return [[label, reason], ...more.map((other) => [' ', other])];
  });
}

function moveRows(moves: readonly DeviceMove[], detail: PlanDetail): readonly (readonly string[])[] {
  return grouped(moves, detail, (move) => [
    move.from ?? '',
    move.to ?? '',
    move.slots === undefined ? '' : move.device,
  ]).map((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { device, from, slots, to } = first;
    const place = (resource: string | undefined, count: number | undefined) =>
      resource === undefined ? 'no pool' : `${resource}${count === undefined ? '' : ` (${count} slots)`}`;
    return [
      slots === undefined ? labelOf(group, (move) => move.device) : device,
      place(from, slots?.before),
      place(to, slots?.after),
    ];
  });
}

function resourceLines({ appearing, disappearing }: PlanChanges['resources'], against: string): string {
  const lines = [
    ...appearing.map((resource) => `+ ${resource} appears`),
    ...disappearing.map((resource) => `- ${resource} disappears, and pods that ask for it are not scheduled any more`),
  ];
  return lines.length === 0
    ? ''
    : `\nResources that change against ${printable(against)}:\n${lines.map(printable).join('\n')}\n`;
}

function podRow(concern: PodConcern): readonly string[] {
  const device = labelOf([concern], ({ device: id }) => id);
  return [
    concern.pod ?? `container ${concern.containerId?.slice(0, 12) ?? ''}`,
    concern.interface ?? '',
    device,
    concern.note,
  ];
}

/** Devices of one PF with the same key are together; others are alone. In the order of the first of each. */
function grouped<Device extends Placed>(
  devices: readonly Device[],
  detail: PlanDetail,
  keyOf: (device: Device) => readonly string[],
): readonly (readonly Device[])[] {
  let alone = 0;
  const groups = Map.groupBy(devices, (device) => {
    const isSlot = 'uplink' in device && device.uplink !== undefined;
    const isAlone = !isSlot && (device.pf === undefined || detail === 'wide');
    return JSON.stringify([isAlone ? alone++ : device.pf, ...keyOf(device)]);
  });
  return [...groups.values()];
}

/** The same sentence for each VF of a group: its own number and address tell nothing there. */
function impersonal(
  text: string,
  { address, device, ifname, vf }: Placed & { readonly address?: string; readonly device?: string },
): string {
  let common = vf === undefined ? text : text.replaceAll(`VF ${vf} `, 'the VF ');
  for (const name of [address, device, ifname]) {
    if (name !== undefined && vf !== undefined) common = common.replaceAll(name, 'it');
  }
  return common;
}
