/** The CNI front end: what the application wires. */
export { REQUEST_TIMEOUT_MS } from './deadlines.ts';
export { type PluginReview, reviewDefinition } from './definition.ts';
export { type CniHandler, type CniObservation, createHandler, type HandlerOptions } from './handler.ts';
export type { AdoptSandbox, FirstBytes, PeerCredentials, PeerSocket } from './port.ts';
export { type CniServer, type CniServerOptions, createCniServer } from './server.ts';
export { createSpool, type Spool, type SpoolOptions, type SpoolReport } from './spool.ts';
