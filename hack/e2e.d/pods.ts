/** The test's pods: programs for the Node.js in Berth's own image, so that nothing has to be pulled. */
import type { KubeObject } from './kube-client.ts';
import { NAMESPACE, OWNER, RESOURCE } from './objects.ts';

/** Greets whoever connects, and repeats what it is sent. */
const SERVER = `
const server = require('net').createServer((socket) => {
  socket.on('error', () => {});
  socket.write('reached');
  socket.pipe(socket);
});
server.listen(7000, '::', () => console.log('listening'));`;

/** Connects until it is greeted, then ends well. */
const CLIENT = `
const net = require('net');
const end = Date.now() + 60000;
const attempt = () => {
  const socket = net.connect({ host: process.env.TARGET, port: 7000, timeout: 2000 });
  const again = (why) => { socket.destroy(); if (Date.now() > end) { console.log(why); process.exit(1); } setTimeout(attempt, 500); };
  socket.once('data', (bytes) => { console.log(String(bytes)); process.exit(String(bytes) === 'reached' ? 0 : 1); });
  socket.on('timeout', () => again('no answer from ' + process.env.TARGET));
  socket.on('error', (error) => again(error.message));
};
attempt();`;

/** Holds one connection and sends a byte ten times a second; ends badly when the connection does. */
const HOLDER = `
const net = require('net');
const bad = (why) => { console.log(why); process.exit(1); };
let longest = 0, last = Date.now();
const attempt = (left) => {
  const socket = net.connect({ host: process.env.TARGET, port: 7000 });
  const early = (error) => { if (left === 0) bad(error.message); setTimeout(attempt, 500, left - 1); };
  socket.once('error', early);
  socket.once('data', () => {
    socket.off('error', early);
    socket.on('error', (error) => bad('the connection broke: ' + error.message));
    socket.on('close', () => bad('the connection was closed'));
    last = Date.now();
    socket.on('data', () => {
      const pause = Date.now() - last;
      last = Date.now();
      if (pause > longest) { longest = pause; console.log('longest pause ' + pause + ' ms'); }
    });
    setInterval(() => { if (Date.now() - last > 20000) bad('nothing came back for 20 s'); socket.write('.'); }, 100);
  });
};
attempt(60);`;

const PROGRAMS = { server: SERVER, client: CLIENT, holder: HOLDER } as const;

export interface PodRequest {
  readonly name: string;
  readonly program: keyof typeof PROGRAMS;
  readonly image: string;
  readonly hostname: string;
  /** The NetworkAttachmentDefinition, where Multus brings networks. */
  readonly network?: string;
  /** Whom it connects to. */
  readonly target?: string;
}

export function pod({ name, program, image, hostname, network, target }: PodRequest): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: NAMESPACE,
      labels: OWNER,
      ...(network === undefined ? {} : { annotations: { 'k8s.v1.cni.cncf.io/networks': network } }),
    },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // No names are asked for, and some nodes have no resolver to give.
      dnsPolicy: 'Default',
      nodeSelector: { 'kubernetes.io/hostname': hostname },
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'Never',
          command: ['/usr/lib/berth/node/bin/node', '-e', PROGRAMS[program]],
          env: target === undefined ? [] : [{ name: 'TARGET', value: target }],
          resources: { requests: { [RESOURCE]: '1' }, limits: { [RESOURCE]: '1' } },
        },
      ],
    },
  };
}
