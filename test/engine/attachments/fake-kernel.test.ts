/** The fake kernel keeps the same contract as the live one, so what is shown on it means something. */
import { test } from 'uvu';
import { parseIfName } from '../../../src/engine/values.ts';
import { kernelContract } from '../../kernel/contract.ts';
import { FakeKernel } from '../../standins/fake-kernel.ts';

kernelContract('fake kernel', test, async () => {
  const kernel = new FakeKernel();
  kernel.world.addLink(kernel.world.host, { name: 'up0', up: true, carrier: true });
  let count = 0;
  return {
    kernel,
    uplink: parseIfName('up0'),
    makeSandbox: async () => {
      count += 1;
      const path = `/run/netns/s${count}`;
      kernel.world.addSandbox(path);
      return {
        path,
        descriptor: () => kernel.descriptorOf(path),
        end: async () => {
          if (kernel.world.paths.has(path)) kernel.world.destroySandbox(path);
        },
      };
    },
    foreignDescriptor: () => 7,
    end: async () => undefined,
  };
});

test.run();
