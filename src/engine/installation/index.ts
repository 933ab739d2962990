/** Installing the CNI shim into a runtime's plugin folder, and removing it again. */
export { install } from './install.ts';
export * from './model.ts';
export type { CniFolder, Occupant, StagedShim } from './port.ts';
export { type RemoveRequest, remove } from './remove.ts';
