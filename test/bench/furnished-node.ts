/** What private-node.test.ts runs as a private node's first process: furnishes it and tells what it sees. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { furnishNode } from '../../hack/bench.d/private-node.ts';

furnishNode();
const links = JSON.parse(execFileSync('ip', ['-json', 'link'], { encoding: 'utf8' })) as { ifname: string }[];
const facts = {
  netns: readlinkSync('/proc/self/ns/net'),
  links: links.map((link) => link.ifname).toSorted(),
  sysLinks: readdirSync('/sys/class/net').toSorted(),
  state: { '/run': readdirSync('/run'), '/var/lib': readdirSync('/var/lib') },
};
process.stdout.write(JSON.stringify(facts));
