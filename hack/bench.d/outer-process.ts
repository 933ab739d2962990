/** A program in which a benchmark has its place: started, and its standard output taken when it ends. */
import { spawn } from 'node:child_process';

export interface OuterProcess {
  readonly program: string;
  readonly args: readonly string[];
  /** Whose end an error tells. */
  readonly what: string;
  /** What `signal` sends; SIGTERM when absent. */
  readonly killSignal?: NodeJS.Signals;
}

/** Rejects when it exits with anything but 0, or when `signal` ended it. Its standard error is ours. */
export async function outputOf(
  { args, killSignal = 'SIGTERM', program, what }: OuterProcess,
  signal: AbortSignal,
): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], signal, killSignal });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const failure = await new Promise<string | undefined>((resolve) => {
    let problem: string | undefined;
    child.once('error', (error) => {
      problem = error.message;
    });
    // "close" and not "exit": the pipe ends when the last process inside has ended.
    child.once('close', (code, by) => resolve(code === 0 ? undefined : (problem ?? by ?? `exit status ${code}`)));
  });
  if (failure !== undefined) throw new Error(`${what} ended: ${failure}`);
  return Buffer.concat(chunks).toString();
}
