/**
 * The agent, put together: which part is given what, in which order they start, and in which they
 * stop. No decisions of its own; to find out why something is as it is, follow the part. The order
 * is explained in docs/architecture.md, "Start of the agent".
 */
import { readFileSync } from 'node:fs';
import type { AgentOptions } from '../cli/port.ts';
import { type CniObservation, createCniServer, createHandler, createSpool } from '../cni/index.ts';
import { GivenDevices } from '../engine/attachments/given-devices.ts';
import { type AttachmentEngine, createAttachments } from '../engine/attachments/index.ts';
import { explainMissingDevice } from '../engine/attachments/missing-device.ts';
import { systemClock } from '../engine/clock.ts';
import { createNodeFeed } from '../engine/feed/feed.ts';
import { createLiveInventory, type LiveInventory } from '../engine/inventory/live.ts';
import type { Logger } from '../engine/logger.ts';
import { holdsOf, laterHoldsOf } from '../engine/pools/holds.ts';
import { createPoolSet, type PoolSet } from '../engine/pools/pool-set.ts';
import { macvtapSlot } from '../engine/pools/slot.ts';
import { createTenancy } from '../engine/pools/tenancy.ts';
import { requireReady } from '../engine/readiness.ts';
import { createNodeStreams } from '../http/node-stream.ts';
import type { PageServer } from '../http/page.ts';
import { serveApi } from '../http/server.ts';
import { createKubeletFrontEnd, createPodResources } from '../kubelet/index.ts';
import { takeAgentLock } from '../linux/agent-lock.ts';
import { createChangeSource } from '../linux/changes.ts';
import { createDeviceInfoFiles } from '../linux/files/device-info-files.ts';
import { createNetworkLogs } from '../linux/files/network-logs.ts';
import { createOwnedAddresses } from '../linux/files/owned-addresses.ts';
import { createRecordStore } from '../linux/files/record-store.ts';
import { isRemovalUnderWay } from '../linux/files/removal-mark.ts';
import { createReservationStore } from '../linux/files/reservation-store.ts';
import { createSriovCniFiles } from '../linux/files/sriov-cni-files.ts';
import { createIpamPrograms } from '../linux/ipam-programs.ts';
import { createKernel } from '../linux/kernel.ts';
import { createNodeDevices } from '../linux/node-devices.ts';
import { peerCredentials } from '../linux/peer-socket.ts';
import { readPciFunction } from '../linux/sysfs/pci-function.ts';
import { type ClusterSide, startClusterSide } from './cluster.ts';
import { type FollowedConfiguration, followConfiguration } from './configuration.ts';
import { createInstaller } from './installation.ts';
import { type KeptShim, keepShim } from './kept-shim.ts';
import { LoopDelay } from './loop-delay.ts';
import { openNode } from './node.ts';
import { Observations } from './observations.ts';
import { DEFAULT_PAGE_ADDRESS, startPage } from './page.ts';
import { type AgentPaths, agentPaths } from './paths.ts';
import { peerSocket } from './peers.ts';
import { startMetrics, startProbes } from './probes.ts';
import { createAgentView } from './view.ts';

export interface AgentEnvironment {
  readonly options: AgentOptions;
  readonly version: string;
  /** The release's CNI shim, for `installInto`. */
  readonly shim: string;
  readonly log: Logger;
  /** Ends the wait for another agent. */
  readonly signal: AbortSignal;
}

export interface RunningAgent {
  readonly paths: AgentPaths;
  /** Ends everything in the reverse order of its start; running pods keep what they have. */
  stop(): Promise<void>;
}

/** What is to be ended, in the order in which it was begun. */
type Stops = (() => Promise<void> | void)[];

/**
 * Starts the agent and resolves when it serves. Waits while another agent runs on this node.
 * @throws BerthError when a part cannot start; what had started is stopped again.
 */
export async function startAgent(environment: AgentEnvironment): Promise<RunningAgent> {
  const stops: Stops = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    return { paths: await start(environment, stops), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start({ options, version, shim, log, signal }: AgentEnvironment, stops: Stops): Promise<AgentPaths> {
  const startedAt = new Date();
  const configuration = await followConfiguration(options.config, options, log);
  stops.push(() => configuration.stop());
  const paths = agentPaths(options, configuration.current.paths);
  const probes = options.listen === undefined ? undefined : startProbes(options.listen, log);
  stops.push(() => probes?.close());
  const lock = await takeAgentLock(paths.lock, signal, (holder) => {
    probes?.step('waiting for another agent to end');
    log.warn({ holder }, 'another agent runs on this node; waiting for it to end');
  });
  probes?.step('starting');
  stops.push(() => lock.release());

  const kernel = createKernel({
    pciFunction: (address) => readPciFunction('/', address),
    ...(options.procRoot === undefined ? {} : { procRoot: options.procRoot }),
    onLateError: (error) => log.warn({ err: error }, 'closing a descriptor failed'),
  });
  stops.push(() => kernel.close());
  const podResources = createPodResources({ socketPath: paths.kubelet.podResourcesSocket, log });
  stops.push(() => podResources.close());
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  let given: GivenDevices | undefined;
  // Attachments are made after the pools, which follow the attachments.
  let pools: PoolSet | undefined;
  const tenancy = createTenancy({
    specs: () => configuration.current.pools,
    plan: () => pools?.plan() ?? { pools: [], unused: [] },
    clock: systemClock,
  });
  const observations = probes === undefined ? undefined : new Observations();
  const reservations = createReservationStore(systemClock);
  const attachments = createAttachments({
    kernel,
    records: createRecordStore(paths.records),
    reservations,
    ownedAddresses: createOwnedAddresses(paths.addresses),
    ipamPrograms: createIpamPrograms(),
    sriovCni: createSriovCniFiles(),
    podDevices: podResources,
    policy: tenancy,
    ...(observations === undefined ? {} : { observer: observations }),
    isShimBeingRemoved: () => isRemovalUnderWay(paths.runDir),
    allocation: () => configuration.current.cni.allocation,
    offers: (device) => (pools?.plan().pools ?? []).some(({ devices }) => devices.some(({ id }) => id === device)),
    inventory: () => inventory.current,
    slotNamed: (id) => (pools === undefined ? undefined : macvtapSlot(pools.plan(), id)),
    clock: systemClock,
    log,
    bootId,
  });
  stops.push(() => attachments.stop());
  const reader = openNode('/', options.nodeName);
  const inventory = await createLiveInventory({
    reader,
    changes: createChangeSource(),
    onNamespaceGone: (nsid) => void attachments.onNamespaceGone(nsid),
    onMissed: () => {
      void attachments.onMissed();
      given?.look();
    },
    isMoving: (device) => attachments.isMoving(device),
    log,
  });
  stops.push(() => inventory.stop());
  const livePools = startPools(configuration, inventory, attachments, log);
  pools = livePools;
  stops.push(() => livePools.stop());

  const givenDevices = new GivenDevices({
    podDevices: podResources,
    attached: () => new Set(attachments.list().map(({ device }) => device)),
    clock: systemClock,
    log,
  });
  given = givenDevices;
  stops.push(() => givenDevices.stop());
  for (const part of [inventory, attachments]) part.subscribe(() => givenDevices.look());
  const kubelet = createKubeletFrontEnd({
    pools: livePools,
    paths: paths.kubelet,
    deviceInfoDir: paths.deviceInfoDir,
    cdiDir: paths.cdiDir,
    useCdi: options.useCdi ?? configuration.current.cdi,
    offeredResourcesFile: paths.offeredResources,
    nodeDevices: createNodeDevices('/'),
    podDevices: podResources,
    registration: configuration.current.registration,
    onGiven: (devices) => givenDevices.given(devices),
    log,
  });
  stops.push(() => kubelet.stop());
  await kubelet.start();
  stops.push(kubelet.subscribe(() => givenDevices.look()));
  givenDevices.look();

  collectWhatComesHome(inventory, attachments);
  probes?.step('recovering attachments');
  await attachments.recover();
  const spool = createSpool({ folder: paths.spool, bootId, attachments, log });
  await spool.replay();
  stops.push(spool.watch());

  let cluster: ClusterSide | undefined;
  const networkLogs = createNetworkLogs(() => configuration.current.cni.logDir, log);
  stops.push(() => networkLogs.settled());
  const cni = createCniServer({
    socketPath: paths.cniSocket,
    peers: peerSocket,
    handle: createHandler({
      attachments,
      adoptSandbox: (fd) => kernel.adopt(fd),
      uplinkName: async (name) => (await kernel.host.link({ name }))?.name,
      networkLogs,
      deviceInfo: createDeviceInfoFiles(paths.deviceInfoDir),
      explainMissingDevice: (pod) =>
        explainMissingDevice(pod, 'vf', {
          podDevices: podResources,
          attachments: () => attachments.list(),
          plan: () => pools.plan(),
        }),
      statusFailsOn: () => configuration.current.cni.statusFailsOn,
      ready: (question, aborted) =>
        requireReady(
          question,
          {
            inventory: () => inventory.current,
            plan: () => pools.plan(),
            attachments: () => attachments.list(),
            resolve: (link) => attachments.resolve(link),
            reservations,
          },
          aborted,
        ),
      observe: (observation) => {
        logCall(observation, log);
        observations?.called(observation);
        cluster?.called(observation);
      },
    }),
    log,
  });
  stops.push(() => cni.close());
  await cni.listen();
  const keptShim = keepShimOf(options, paths, shim, log);
  stops.push(() => keptShim?.stop());

  // From here on: loading the program holds the loop for long, once.
  const loop = new LoopDelay();
  stops.push(() => loop.stop());
  let page: PageServer | undefined;
  const view = createAgentView({
    version,
    startedAt,
    configuration,
    reader,
    inventory,
    pools: livePools,
    tenancy,
    kubelet,
    attachments,
    podDevices: podResources,
    given: givenDevices,
    spool,
    loop,
    shim: keptShim,
    page: () => page,
    cluster: () => cluster?.status(),
  });
  const changes = [inventory, livePools, attachments, givenDevices].map(
    (part) => (listener: () => void) => part.subscribe(() => listener()),
  );
  const feed = createNodeFeed({ view: () => view.inventory(), changes, log });
  stops.push(() => feed.stop());
  const streams = createNodeStreams({ feed, log });
  const api = await serveApi({
    socketPath: paths.apiSocket,
    view,
    collect: () => attachments.collectGarbage(false),
    streams,
    peerUid: (socket) => peerCredentials(socket).uid,
    log,
  });
  stops.push(() => api.close());
  page = await startPage(options.pageListen ?? DEFAULT_PAGE_ADDRESS, { view, streams, log });
  stops.push(() => page?.close());
  if (probes !== undefined && observations !== undefined) {
    const metrics = await startMetrics(observations, {
      status: view.status,
      plan: view.plan,
      inventory: () => inventory.current,
      attachments: view.attachments,
      counters: view.counters,
      loop: () => loop.lap(),
    });
    probes.step('serving', { status: view.status, metrics });
  }
  const node = inventory.current.node.name;
  log.info({ version, node, runDir: paths.runDir }, 'serving');
  const registrations = (listener: () => void): (() => void) => kubelet.subscribe(listener);
  const clusterChanges = [...changes, configuration.onLook, registrations];
  cluster = await startClusterSide(options, {
    view,
    log,
    node,
    changes: clusterChanges,
    kubeletStarts: (listener) => kubelet.onKubeletStart(listener),
  });
  stops.push(() => cluster?.stop());
  return paths;
}

function keepShimOf(options: AgentOptions, { runDir }: AgentPaths, shim: string, log: Logger): KeptShim | undefined {
  if (options.installInto === undefined) return undefined;
  const as = options.installAs ?? [];
  return keepShim({ installer: createInstaller(shim), folder: options.installInto, as, shim, runDir, log });
}

/** Pools that follow the inventory, the configuration and the attachments. */
function startPools(
  configuration: FollowedConfiguration,
  inventory: LiveInventory,
  attachments: AttachmentEngine,
  log: Logger,
): PoolSet {
  const pools = createPoolSet({
    specs: configuration.current.pools,
    inventory: inventory.current,
    holds: holdsOf(attachments.list()),
    log,
  });
  inventory.subscribe((_diff, current) => pools.update({ inventory: current }));
  attachments.subscribe(() => pools.update({ holds: laterHoldsOf(() => attachments.list()) }));
  configuration.subscribe((config) => pools.update({ specs: config.pools }));
  return pools;
}

/** A VF whose netdev shows up on the node has lost its sandbox, or was never given away. */
function collectWhatComesHome(inventory: LiveInventory, attachments: AttachmentEngine): void {
  inventory.subscribe(({ vfs }) => {
    const home = [
      ...vfs.added.filter((vf) => vf.netdev !== undefined),
      ...vfs.changed
        .filter(({ before, after }) => before.netdev === undefined && after.netdev !== undefined)
        .map(({ after }) => after),
    ];
    for (const { address } of home) void attachments.onDeviceHome(address);
  });
}

function logCall({ error, key, ...call }: CniObservation, log: Logger): void {
  if (error === undefined) log.debug({ ...key, ...call }, 'CNI call');
  else log.warn({ ...key, ...call, reason: error.reason, error: error.message }, 'CNI call failed');
}
