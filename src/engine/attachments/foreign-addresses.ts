/**
 * Addresses in host-local's folders that neither a record nor a note of ours accounts for: of pods
 * that another plugin attached, before a switch or beside Berth. Their DEL releases them. Where none
 * comes any more they stay: a reservation has a container's id in it and nothing that leads to a
 * sandbox, a pod or a boot, so that nothing here can prove its container gone, and an address that is
 * taken from a living pod is given to two. They are shown, with what removes them by hand.
 *
 * Looked at are the networks that Berth serves now, since the default network's folder is full of
 * living pods that are nothing of ours.
 */
import { toBerthError } from '../errors.ts';
import type { NetworkName } from '../values.ts';
import type { AttachmentContext } from './context.ts';
import type { GarbageItem } from './garbage.ts';
import { keyText } from './record-book.ts';

const LOOK_MS = 5_000;

interface Network {
  readonly dataDir: string;
  readonly network: NetworkName;
}

/** One item for each such address, to keep; and for each folder that cannot be read. Never throws. */
export async function foreignAddresses(context: AttachmentContext): Promise<readonly GarbageItem[]> {
  const { notes } = context.ownedAddresses.list();
  const own = new Set([...context.records.all().map(({ key }) => keyText(key)), ...notes.map(keyText)]);
  const items = await Promise.all(networksOf(context).map((network) => lookInto(context, network, own)));
  return items.flat();
}

function networksOf(context: AttachmentContext): readonly Network[] {
  const served = [
    ...context.records.all().map(({ addresses, network }) => ({ place: addresses, network })),
    ...context.ownedAddresses.list().notes,
  ];
  const networks = new Map<string, Network>();
  for (const { place, network } of served) {
    if (place?.type !== 'host-local') continue;
    networks.set(`${place.dataDir}/${network}`, { dataDir: place.dataDir, network });
  }
  return [...networks.values()];
}

async function lookInto(
  context: AttachmentContext,
  { dataDir, network }: Network,
  own: ReadonlySet<string>,
): Promise<readonly GarbageItem[]> {
  try {
    const contents = await context.reservations.locked(dataDir, network, AbortSignal.timeout(LOOK_MS), (folder) => [
      ...folder.list(),
    ]);
    return contents.flatMap(([ip, content]) => {
      const [containerId = '', ifname = ''] = (content ?? '').split('\r\n');
      const attachment = `${containerId}@${ifname}`;
      if (containerId === '' || own.has(attachment)) return [];
      return [{ attachment, action: 'keep', why: reasonFor(dataDir, network, ip) } as const];
    });
  } catch (error) {
    const attachment = `${dataDir}/${network}`;
    return [{ attachment, action: 'keep', why: `its addresses cannot be read: ${toBerthError(error).message}` }];
  }
}

function reasonFor(dataDir: string, network: NetworkName, ip: string): string {
  const folder = `${dataDir}/${network}`;
  return `another plugin reserved ${ip} for it, and nothing proves that the container is gone; if it is: flock ${folder}/lock rm ${folder}/${ip}`;
}
