/** The stand-in for a container runtime with Multus. */
export type {
  Attachment,
  NetworkDefinition,
  NetworkSelection,
  PluginCall,
  PluginError,
  Pod,
  Sandbox,
} from './model.ts';
export { PluginFailure } from './model.ts';
export { createRuntime, type Runtime, type RuntimeOptions } from './runtime.ts';
