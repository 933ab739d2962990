/** `hack/manifests`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { render } from './render.ts';

const DEPLOY = resolve(import.meta.dirname, '../../deploy');
const RENDERED = join(DEPLOY, 'berth.yaml');
const HEADER = '# The agent on every node: deploy/base, rendered by hack/manifests. Change that, not this.\n';

const [option, folder, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && option !== '--check' && option !== '--print')) {
  process.stderr.write('usage: hack/manifests [--check | --print FOLDER]\n');
  process.exit(2);
}
const objects = render(option === '--print' ? resolve(folder ?? '.') : join(DEPLOY, 'base'));
const text = objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n');
if (option === '--print') process.stdout.write(text);
else if (option === undefined) writeFileSync(RENDERED, `${HEADER}${text}`);
else if (readFileSync(RENDERED, 'utf8') !== `${HEADER}${text}`) {
  process.stderr.write('manifests: deploy/berth.yaml is not what deploy/base gives; run hack/manifests\n');
  process.exitCode = 1;
}
