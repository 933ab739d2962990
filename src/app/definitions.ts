/**
 * Files of network definitions for `berth lint --networks`: NetworkAttachmentDefinitions as kubectl
 * prints or applies them (one, several documents, a list), or a CNI configuration as it lies in
 * /etc/cni/net.d. Other objects of a manifest are passed over.
 */
import { createReadStream } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { DefinitionReport } from '../cli/port.ts';
import { reviewDefinition } from '../cni/index.ts';
import { BerthError } from '../engine/errors.ts';
import { readBounded } from './bounded-text.ts';

/** A list of some ten thousand definitions. */
const LIMIT_BYTES = 64 * 2 ** 20;
const RESOURCE = 'k8s.v1.cni.cncf.io/resourceName';

const definition = z.looseObject({
  kind: z.literal('NetworkAttachmentDefinition'),
  metadata: z
    .looseObject({
      name: z.string().catch(''),
      namespace: z.string().optional().catch(undefined),
      annotations: z.record(z.string(), z.unknown()).nullish().catch(undefined),
    })
    .catch({ name: '' }),
  spec: z.looseObject({ config: z.unknown() }).nullish().catch(undefined),
});
const list = z.looseObject({ items: z.array(z.unknown()) });
const object = z.looseObject({ apiVersion: z.string(), kind: z.string() });
const configuration = z
  .looseObject({ name: z.string().optional() })
  .refine((value) => 'type' in value || 'plugins' in value);

/**
 * What each definition in the file would do; `-` is standard input.
 * @throws BerthError `NotFound` or `Io` when it cannot be read, `Invalid` when no definition is in it.
 */
export async function reviewDefinitions(path: string): Promise<readonly DefinitionReport[]> {
  const documents = documentsOf(path, await textOf(path));
  const reports: DefinitionReport[] = [];
  for (const document of documents.flatMap(itemsOf)) {
    const report = await reportOf(document, path);
    if (report !== undefined) reports.push(report);
  }
  if (reports.length === 0) throw invalid(path, 'no NetworkAttachmentDefinition and no CNI configuration is in it');
  return reports;
}

function itemsOf(document: unknown): readonly unknown[] {
  const parsed = list.safeParse(document);
  return parsed.success ? parsed.data.items : [document];
}

/** `undefined` for an object of another kind. */
async function reportOf(document: unknown, path: string): Promise<DefinitionReport | undefined> {
  const named = definition.safeParse(document);
  if (named.success) {
    const { annotations, name, namespace } = named.data.metadata;
    const resource = annotations?.[RESOURCE];
    return {
      name: [namespace, name === '' ? '(no name)' : name].filter(Boolean).join('/'),
      ...(await reviewed(named.data.spec?.config, {
        name,
        bringsDevice: typeof resource === 'string' && resource !== '',
      })),
    };
  }
  if (object.safeParse(document).success) return undefined;
  const own = configuration.safeParse(document);
  if (!own.success) throw invalid(path, 'an entry is neither an object of Kubernetes nor a CNI configuration');
  // Who calls it, and with which device, the file does not say.
  const report = await reviewed(JSON.stringify(own.data), { bringsDevice: true });
  return { name: own.data.name ?? path, ...report };
}

async function reviewed(
  config: unknown,
  context: { readonly name?: string; readonly bringsDevice: boolean },
): Promise<Omit<DefinitionReport, 'name'>> {
  if (config === undefined || config === null || config === '') return { plugins: [], isElsewhere: true };
  if (typeof config !== 'string') return unreadable('spec.config', 'it is no text: the JSON stands there as a string');
  try {
    return { plugins: await reviewDefinition(config, context) };
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return unreadable('', error.message);
  }
}

function unreadable(path: string, message: string): Omit<DefinitionReport, 'name'> {
  return { plugins: [{ type: '', isServed: false, errors: [{ path, message }], warnings: [] }] };
}

async function textOf(path: string): Promise<string> {
  try {
    const text = await readBounded(path === '-' ? process.stdin : createReadStream(path), LIMIT_BYTES);
    if (text === undefined) throw invalid(path, `more than ${LIMIT_BYTES} bytes`);
    return text;
  } catch (cause) {
    if (cause instanceof BerthError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new BerthError({
      code: code === 'ENOENT' ? 'NotFound' : 'Io',
      reason: 'definitions-unreadable',
      message: `${path}: ${message}`,
      remedy: 'Name a file of NetworkAttachmentDefinitions or of a CNI configuration, or - for standard input.',
      cause,
    });
  }
}

function documentsOf(path: string, text: string): readonly unknown[] {
  const json = jsonOf(text);
  if (json !== undefined) return [json];
  const documents = parseAllDocuments(text, { logLevel: 'silent' });
  // An empty text has no documents.
  const parsed = Array.isArray(documents) ? documents : [];
  for (const { errors } of parsed) {
    const [error] = errors;
    if (error !== undefined) throw invalid(path, error.message.split('\n')[0] ?? error.message);
  }
  try {
    return parsed.map((document): unknown => document.toJS({ maxAliasCount: 100 })).filter((value) => value !== null);
  } catch (cause) {
    throw invalid(path, cause instanceof Error ? cause.message : String(cause));
  }
}

/** kubectl's JSON may be large, and reading it as YAML takes ten times as long. What is no JSON the YAML reader judges. */
function jsonOf(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function invalid(path: string, why: string): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'definitions-invalid',
    message: `${path}: ${why}`,
    remedy: 'Give what `kubectl get net-attach-def -A -o json` prints, a manifest, or a file of /etc/cni/net.d.',
  });
}
