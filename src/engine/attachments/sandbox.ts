/**
 * Where a record's sandbox is now. Its cookie is its identity; an inode number or a missing path
 * proves nothing. The namespace is opened for one operation and must be closed by the caller.
 */
import type { SandboxView } from '../links/index.ts';
import type { Kernel, Namespace } from './port.ts';
import type { AttachmentRecord } from './record.ts';

export interface LocatedSandbox {
  readonly view: SandboxView;
  close(): void;
}

const nothingToClose = (): void => undefined;

/** `given` is a descriptor that the front end passed; it is used only when it is that very sandbox. */
export async function locateSandbox(
  kernel: Kernel,
  sandbox: AttachmentRecord['sandbox'],
  given?: Namespace,
): Promise<LocatedSandbox> {
  if (given?.id.cookie === sandbox.cookie) return { view: { state: 'open', namespace: given }, close: nothingToClose };
  const opened = sandbox.path === '' ? undefined : await kernel.open(sandbox.path);
  if (opened !== undefined) {
    if (opened.id.cookie === sandbox.cookie)
      return { view: { state: 'open', namespace: opened }, close: () => opened.close() };
    const cookie = opened.id.cookie;
    opened.close();
    if (!isOfProcess(sandbox.path)) {
      return {
        view: { state: 'dead', proof: `${sandbox.path} is namespace ${cookie} now, not ${sandbox.cookie}` },
        close: nothingToClose,
      };
    }
  }
  if (!(await kernel.isNamespaceAlive(sandbox.nsid)))
    return { view: { state: 'dead', proof: `nsid ${sandbox.nsid} is free` }, close: nothingToClose };
  // The kernel gives numbers of dead namespaces to the next ones, and with pods that come and go that is soon.
  const now = sandbox.path === '' ? undefined : await kernel.cookieOf(sandbox.nsid, sandbox.path);
  if (now !== undefined && now !== sandbox.cookie) {
    return {
      view: { state: 'dead', proof: `nsid ${sandbox.nsid} is namespace ${now} now, not ${sandbox.cookie}` },
      close: nothingToClose,
    };
  }
  return {
    view: {
      state: 'unknown',
      why: `${sandbox.path === '' ? 'it has no path' : `${sandbox.path} does not lead to it`} and nsid ${sandbox.nsid} is in use`,
    },
    close: nothingToClose,
  };
}

/**
 * ctr names sandboxes `/proc/<pid>/ns/net`. The pid is one of the runtime's pid namespace: here it may
 * be any other process, so that only the right cookie at such a path proves something.
 */
function isOfProcess(path: string): boolean {
  return path.startsWith('/proc/');
}
