/** The kubelet front end's public face. */
export { createKubeletFrontEnd, type KubeletFrontEnd, type KubeletFrontEndOptions } from './front-end.ts';
export { type KubeletPaths, kubeletPaths, type RegistrationMode } from './paths.ts';
export { createPodResources, type PodResources, type PodResourcesOptions } from './pod-resources.ts';
export type { RegistrationChoice, RegistrationTimings, ResourceRegistration } from './registration.ts';
