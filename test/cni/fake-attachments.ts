/** An engine that remembers what it was asked, and answers as it is told. */
import type {
  AttachmentKey,
  AttachmentSummary,
  Attachments,
  AttachRequest,
  AttachResult,
  CheckRequest,
  OperationContext,
} from '../../src/engine/attachments/model.ts';
import type { Namespace } from '../../src/engine/attachments/port.ts';
import { parseMacAddress } from '../../src/engine/values.ts';

export interface FakeAttachments extends Attachments {
  readonly attached: AttachRequest[];
  readonly detached: { readonly key: AttachmentKey; readonly sandbox: Namespace | undefined }[];
  readonly checked: CheckRequest[];
  readonly released: AttachmentKey[];
  readonly kept: { readonly network: string; readonly valid: readonly AttachmentKey[] }[];
  summaries: AttachmentSummary[];
  /** Called in the place of the work; what it throws is what the engine throws. */
  during: (context: OperationContext) => Promise<void> | void;
  releaseAddresses(key: AttachmentKey, context: OperationContext): Promise<void>;
}

export function fakeAttachments(): FakeAttachments {
  const fake: FakeAttachments = {
    attached: [],
    detached: [],
    checked: [],
    released: [],
    kept: [],
    summaries: [],
    during: () => undefined,
    attach: async (request, context) => {
      fake.attached.push(request);
      await fake.during(context);
      return resultOf(request);
    },
    detach: async (key, sandbox, context) => {
      fake.detached.push({ key, sandbox });
      await fake.during(context);
    },
    check: async (request, context) => {
      fake.checked.push(request);
      await fake.during(context);
    },
    list: () => fake.summaries,
    keepValid: async (network, valid, context) => {
      fake.kept.push({ network, valid });
      await fake.during(context);
    },
    releaseAddresses: async (key, context) => {
      fake.released.push(key);
      await fake.during(context);
    },
  };
  return fake;
}

function resultOf(request: AttachRequest): AttachResult {
  const { ipam, link } = request;
  return {
    ifname: request.key.ifname,
    mac: parseMacAddress('02:5e:00:00:00:01'),
    mtu: 1500,
    ...(link.kind === 'vf' ? { pci: link.device } : {}),
    hasNetdev: true,
    addresses: ipam === undefined ? [] : [{ address: '10.60.0.6/24', gateway: '10.60.0.1' }],
    routes: ipam === undefined || ipam.type === 'delegated' ? [] : ipam.routes,
    dns: ipam === undefined || ipam.type === 'delegated' ? {} : ipam.dns,
  };
}
