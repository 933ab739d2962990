/**
 * `berth topology -o svg`: one picture that needs nothing else, in the colours of whoever looks at
 * it (light or dark), with a text for each thing for those who cannot see it.
 */

import type { DeviceState } from '../../engine/inventory-view.ts';
import { printable } from '../table.ts';
import type { DrawnNic, Topology } from './model.ts';
import { NO_FUNCTIONS, nicText, runName, scalableName, standingText } from './words.ts';

const WIDTH = 960;
const PAD = 16;
const PLACE = 18;
const LINE = 20;
const PER_ROW = Math.floor((WIDTH - 6 * PAD) / PLACE);

const STYLE = `
  svg { --ground: #ffffff; --panel: #f4f6f8; --text: #1a2027; --faint: #5b6672; --line: #c9d1d9; --free: #1a7f37; --taken: #0b5fd1; --broken: #c62828; --unused: #6e7781 }
  @media (prefers-color-scheme: dark) { svg { --ground: #0f1419; --panel: #182029; --text: #e4e9ee; --faint: #9aa7b4; --line: #36424e; --free: #4cc26a; --taken: #6cb2ff; --broken: #ff7b72; --unused: #8b97a3 } }
  text { font: 13px system-ui, sans-serif; fill: var(--text) }
  .faint { fill: var(--faint) } .title { font-weight: 600; font-size: 15px }
  .ground { fill: var(--ground) } .panel { fill: var(--panel); stroke: var(--line) } .box { fill: var(--ground); stroke: var(--line) }
  .place { fill: var(--ground); stroke-width: 2; stroke: var(--unused) }
  .free { stroke: var(--free) } .taken { stroke: var(--taken); fill: var(--taken) } .broken { stroke: var(--broken); stroke-dasharray: 2 1 } .unused { stroke-dasharray: 1 2 }
`;

/** Drawn from the top down; each part says how high it became. */
interface Drawn {
  readonly markup: string;
  readonly height: number;
}

export function renderTopologySvg(topology: Topology): string {
  const title = `Network devices of ${topology.name}`;
  const parts: string[] = [];
  let y = PAD;
  const place = ({ height, markup }: Drawn): void => {
    parts.push(moved(PAD, y, markup));
    y += height + PAD;
  };
  place({ markup: text(0, 16, topology.name, 'title') + text(0, 36, topology.machine ?? '', 'faint'), height: 36 });
  for (const socket of topology.sockets) place(socketOf(socket));
  if (topology.sockets.length === 0) place({ markup: text(0, 14, NO_FUNCTIONS), height: 14 });
  for (const link of topology.joins) {
    const line = `${link.ifname} (${link.kind}) on ${link.lowers.join(', ')}`;
    place({ markup: text(0, 14, line), height: 14 });
  }
  place({ markup: legend(), height: LINE });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-labelledby="title description">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(described(topology))}</desc>
<style>${STYLE}</style>
<rect class="ground" width="${WIDTH}" height="${y}"/>
${parts.join('\n')}
</svg>
`;
}

function socketOf({ numaNode, roots }: Topology['sockets'][number]): Drawn {
  const inner: string[] = [];
  let y = LINE + PAD;
  for (const root of roots) {
    inner.push(text(PAD, y + 12, root.name ?? 'no PCIe root', 'faint'));
    y += LINE;
    for (const drawn of root.nics) {
      const nic = nicBox(drawn);
      inner.push(moved(PAD, y, nic.markup));
      y += nic.height + PAD / 2;
    }
  }
  const name = numaNode === undefined ? 'No NUMA node' : `NUMA node ${numaNode}`;
  const box = `<rect class="panel" width="${WIDTH - 2 * PAD}" height="${y + PAD / 2}" rx="8"/>`;
  return { markup: box + text(PAD, LINE + 2, name, 'title') + inner.join('\n'), height: y + PAD / 2 };
}

function nicBox(drawn: DrawnNic): Drawn {
  const { nic, runs, scalable } = drawn;
  const functions = [
    ...runs.flatMap((run) =>
      run.vfs.map((vf) => ({ state: run.state, what: `VF ${vf.index} ${vf.address}: ${standingText(run)}` })),
    ),
    ...scalable.map((sf) => ({ state: sf.state, what: `${scalableName(sf)}: ${standingText(sf)}` })),
  ];
  const rows = Math.ceil(functions.length / PER_ROW);
  let y = 2 * LINE + PAD / 2;
  const places = functions.map(({ state, what }, index) => {
    const [x, row] = [index % PER_ROW, Math.floor(index / PER_ROW)];
    return functionPlace(PAD + x * PLACE, y + row * PLACE, state, what);
  });
  y += rows * PLACE + (rows === 0 ? 0 : PAD / 2);
  const isTold = ({ state }: { readonly state: DeviceState }): boolean => state === 'taken' || state === 'broken';
  const told = [
    ...runs.filter(isTold).map((run) => `${runName(run)} ${standingText(run)}`),
    ...scalable.filter(isTold).map((sf) => `${scalableName(sf)} ${standingText(sf)}`),
  ];
  const lines = told.map((line) => {
    y += LINE;
    return text(PAD, y - 6, line);
  });
  const height = y + PAD / 2;
  const width = WIDTH - 4 * PAD;
  return {
    markup: [
      `<rect class="box" width="${width}" height="${height}" rx="6"/>`,
      text(PAD, LINE, nic.ifname === undefined ? nic.address : `${nic.ifname}  ${nic.address}`, 'title'),
      text(PAD, 2 * LINE - 2, nicText(drawn), 'faint'),
      ...places,
      ...lines,
    ].join('\n'),
    height,
  };
}

function functionPlace(x: number, y: number, state: DeviceState, what: string): string {
  const size = PLACE - 5;
  return `<rect class="place ${state}" x="${x}" y="${y}" width="${size}" height="${size}" rx="3"><title>${escaped(what)}</title></rect>`;
}

function legend(): string {
  return (['free', 'taken', 'broken', 'unused'] as const)
    .map((state, index) => {
      const x = index * 110;
      return `<rect class="place ${state}" x="${x}" y="2" width="13" height="13" rx="3"/>${text(x + 20, 13, state, 'faint')}`;
    })
    .join('');
}

/** What the picture shows, in sentences. */
function described({ sockets }: Topology): string {
  const nics = sockets.flatMap((socket) => socket.roots.flatMap((root) => root.nics));
  const told = nics.map((drawn) => {
    const functions = [
      ...drawn.runs.map((run) => `${runName(run)} ${standingText(run)}`),
      ...drawn.scalable.map((sf) => `${scalableName(sf)} ${standingText(sf)}`),
    ];
    return `${[`${drawn.nic.ifname ?? drawn.nic.address}: ${nicText(drawn)}`, ...functions].join('; ')}.`;
  });
  return told.length === 0 ? NO_FUNCTIONS : told.join(' ');
}

function moved(x: number, y: number, markup: string): string {
  return `<g transform="translate(${x} ${y})">${markup}</g>`;
}

function text(x: number, y: number, words: string, name = ''): string {
  return words === '' ? '' : `<text x="${x}" y="${y}"${name === '' ? '' : ` class="${name}"`}>${escaped(words)}</text>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** What XML does not allow even as an entity is taken out. */
function escaped(words: string): string {
  return printable(words).replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
}
