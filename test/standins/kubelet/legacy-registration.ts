/** Kubelet's own socket in device-plugins: the legacy registration. */
import { join } from 'node:path';
import { Server, status } from '@grpc/grpc-js';
import type { RegisterRequest } from '../../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import { RegistrationService } from '../../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import type { DeviceManager } from './device-manager.ts';
import type { EventLog } from './event-log.ts';
import { goError, serve } from './grpc.ts';
import { resourceNameProblem } from './resource-name.ts';

/** Lets a test hold an answer back or refuse it: resolves with the error's text, or `undefined` to go on. */
export type RegisterHook = (request: RegisterRequest) => Promise<string | undefined>;

export async function serveRegistration(
  directory: string,
  manager: DeviceManager,
  log: EventLog,
  hook: () => RegisterHook | undefined,
): Promise<Server> {
  const server = new Server();
  server.addService(RegistrationService, {
    register: (call: { request: RegisterRequest }, callback: (error: object | null, response?: object) => void) => {
      const refuse = (details: string): void => {
        log.add('Register.return', { resource: call.request.resourceName, msg: details });
        callback({ code: status.UNKNOWN, details });
      };
      log.add('Register.call', { resource: call.request.resourceName, msg: call.request });
      register(directory, manager, call.request, hook()).then(
        (plugin) => {
          if (typeof plugin === 'string') {
            refuse(plugin);
            return;
          }
          log.add('Register.return', { resource: call.request.resourceName, msg: '<nil>' });
          callback(null, {});
          manager.run(plugin);
        },
        (error: Error) => refuse(goError(error)),
      );
    },
  });
  await serve(server, join(directory, 'kubelet.sock'));
  return server;
}

async function register(
  directory: string,
  manager: DeviceManager,
  request: RegisterRequest,
  hook: RegisterHook | undefined,
): ReturnType<DeviceManager['connect']> extends Promise<infer Plugin> ? Promise<Plugin | string> : never {
  const refusal = await hook?.(request);
  if (refusal !== undefined) return refusal;
  if (request.version !== 'v1beta1') {
    return `requested API version "${request.version}" is not supported by kubelet. Supported version is v1beta1`;
  }
  const problem = resourceNameProblem(request.resourceName);
  if (problem !== undefined) return problem;
  // Kubelet would join the two and miss the socket; here it is refused by name.
  if (request.endpoint === '' || request.endpoint.includes('/')) {
    return `the endpoint "${request.endpoint}" is not the name of a socket in ${directory}`;
  }
  return manager.connect(request.resourceName, join(directory, request.endpoint));
}
