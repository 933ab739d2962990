/** `berth topology`: the node as a tree of lines. */
import { printable } from '../table.ts';
import type { DrawnNic, Topology } from './model.ts';
import { NO_FUNCTIONS, nicText, runName, scalableName, standingText } from './words.ts';

interface Branch {
  readonly line: string;
  readonly below: readonly Branch[];
}

export function renderTopologyText(topology: Topology): string {
  const { joins, machine, name, sockets } = topology;
  const below = [
    ...(sockets.length === 0 ? [{ line: NO_FUNCTIONS, below: [] }] : []),
    ...sockets.map(({ numaNode, roots }) => ({
      line: numaNode === undefined ? 'no NUMA node' : `NUMA node ${numaNode}`,
      below: roots.map((root) => ({ line: root.name ?? 'no PCIe root', below: root.nics.map(nicBranch) })),
    })),
    ...joins.map((link) => ({ line: `${link.ifname} (${link.kind}) on ${link.lowers.join(', ')}`, below: [] })),
  ];
  const lines = [machine === undefined ? name : `${name}: ${machine}`, ...linesOf(below, '')];
  return `${lines.map(printable).join('\n')}\n`;
}

function nicBranch(drawn: DrawnNic): Branch {
  const { nic, runs, scalable } = drawn;
  const names = nic.ifname === undefined ? nic.address : `${nic.ifname} ${nic.address}`;
  return {
    line: `${names}  ${nicText(drawn)}`,
    below: [
      ...runs.map((run) => ({ line: `${runName(run)}  ${standingText(run)}`, below: [] })),
      ...scalable.map((sf) => ({ line: `${scalableName(sf)}  ${standingText(sf)}`, below: [] })),
    ],
  };
}

function linesOf(branches: readonly Branch[], indent: string): readonly string[] {
  return branches.flatMap(({ line, below }, index) => {
    const isLast = index === branches.length - 1;
    return [`${indent}${isLast ? '└─ ' : '├─ '}${line}`, ...linesOf(below, `${indent}${isLast ? '   ' : '│  '}`)];
  });
}
