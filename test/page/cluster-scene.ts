/** The dashboard as `berth dashboard` serves it, before the stand-in for the API server. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serveDashboard } from '../../src/app/dashboard.ts';
import { type DashboardApi, type StoredInventory, startDashboardApi } from '../standins/apiserver/dashboard-calls.ts';

export interface ShownCluster {
  readonly api: DashboardApi;
  /** With the token. */
  readonly url: string;
  /** What the terminal was told. */
  readonly told: readonly string[];
  /** Ends the dashboard; the API server goes on. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Serves the dashboard of these objects on a free port of loopback. */
export async function showCluster(
  objects: readonly StoredInventory[],
  options: { readonly listen?: string; readonly tokenFile?: string } = {},
): Promise<ShownCluster> {
  const api = await startDashboardApi(objects);
  const folder = mkdtempSync(join(tmpdir(), 'berth-dashboard-'));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, api.kubeconfig);
  const stopped = new AbortController();
  const told: string[] = [];
  let running: Promise<void> = Promise.resolve();
  const url = await new Promise<string>((resolve, reject) => {
    const output = {
      out: (text: string) => resolve(text.trim()),
      err: (text: string) => void told.push(text),
      color: false,
      now: () => new Date(),
    };
    running = serveDashboard({ listen: '127.0.0.1:0', ...options, kubeconfig }, output, stopped.signal);
    running.catch(reject);
  }).catch(async (error: unknown) => {
    await api.close();
    rmSync(folder, { recursive: true });
    throw error;
  });
  const stop = async (): Promise<void> => {
    stopped.abort();
    await running;
  };
  return {
    api,
    url,
    told,
    stop,
    close: async () => {
      await stop();
      await api.close();
      rmSync(folder, { recursive: true });
    },
  };
}
