/** Where the program begins: gives the commands what they need, and turns their answer into an exit status. */
import { join } from 'node:path';
import packageFile from '../package.json' with { type: 'json' };
import { createInstaller, shimOf } from './app/installation.ts';
import { troubleshootingPage } from './app/manual.ts';
import { nodeAccess } from './app/node.ts';
import { processOutput } from './app/output.ts';
import { dashboardUntilSignal, runUntilSignal } from './app/process.ts';
import { processTerminal } from './app/terminal.ts';
import { runProgram } from './cli/program.ts';
import { getFromAgent } from './http/client.ts';
import { followAgent } from './http/stream-client.ts';

const { version } = packageFile;

const output = processOutput();

process.exitCode = await runProgram(process.argv.slice(2), {
  version,
  output,
  node: nodeAccess,
  agent: (runDir, path, method) => getFromAgent(join(runDir, 'api.sock'), path, method),
  follow: (runDir, onDocument, signal) => followAgent(join(runDir, 'api.sock'), onDocument, signal),
  terminal: processTerminal(),
  installer: createInstaller(shimOf(import.meta.dirname)),
  troubleshooting: () => troubleshootingPage(import.meta.dirname),
  // Loaded when asked for: the other commands need neither gRPC nor the engine's kernel.
  runAgent: (options) => runUntilSignal(options, version, shimOf(import.meta.dirname)),
  runDashboard: (options) => dashboardUntilSignal(options, output),
});
