/** Executes a plugin as a runtime does: one path, only the given environment, pipes, no arguments. */
import { spawn } from 'node:child_process';

export interface Execution {
  readonly path: string;
  readonly argv0: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

export interface ExecutionResult {
  readonly exitCode: number;
  readonly stdout: string;
}

export type Execute = (execution: Execution) => Promise<ExecutionResult>;

/** A plugin that is killed by a signal, or cannot be started, rejects. */
export const executeProcess: Execute = ({ path, argv0, env, stdin }) =>
  new Promise((resolve, reject) => {
    const child = spawn(path, [], { argv0, env, stdio: 'pipe', cwd: '/' });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A plugin may answer before it has read its input; what it answers tells.
    child.stdin.on('error', () => undefined);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === null) reject(new Error(`${argv0} was ended by ${signal}: ${Buffer.concat(stderr).toString()}`));
      else resolve({ exitCode: code, stdout: Buffer.concat(stdout).toString() });
    });
    child.stdin.end(stdin);
  });
