/**
 * Every reason that the sources can give an error, read from their syntax trees: the fields of each
 * `new BerthError(...)` and of its subclasses. What cannot be read is listed as unclear, so that no
 * reason hides in an expression. To debug, print `collectReasons(...).unclear`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** What the sources say of one reason. */
export interface ReasonUse {
  /** `src/cni/config.ts:127` */
  readonly places: string[];
  /** Codes it comes with (`Busy`), as far as they are written down. */
  readonly codes: Set<string>;
  /** Names in `CNI_CODES` where the error says its CNI code itself. */
  readonly cniCodes: Set<string>;
  /** A place takes the code from another error, so it may come with further codes. */
  isOpen: boolean;
}

export interface Reasons {
  readonly byName: ReadonlyMap<string, ReasonUse>;
  /** Expressions that are neither literal nor known, with their place. */
  readonly unclear: readonly string[];
}

/** Makes one reason of each errno name. The page has a table for them instead of sections. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a template
const KERNEL_REASON = "`kernel-${name.toLowerCase().replaceAll(' ', '-')}`";
/** Takes the reason out of an answer in which another process put it. */
const TAKEN_FROM_ANSWERS = new Set(["text('reason')", 'code as ErrorCode']);

/** What an expression can be: texts, and whether it hands on what another error said. */
interface Value {
  readonly texts: readonly string[];
  readonly isOpen: boolean;
}

/** Source text by path relative to the root, of files below `folder` with one of the endings. */
export function readSources(root: string, folder: string, endings: readonly string[]): Map<string, string> {
  const sources = new Map<string, string>();
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(root.length + 1);
    if (!entry.isFile() || path.includes('/gen/') || !endings.some((ending) => path.endsWith(ending))) continue;
    sources.set(path, readFileSync(join(root, path), 'utf8'));
  }
  return sources;
}

/** Reads all sources together: a helper's reason is in the calls of it, which may be in another file. */
export function collectReasons(sources: ReadonlyMap<string, string>): Reasons {
  const files = new Map(
    [...sources].map(([path, text]) => [path, ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)]),
  );
  const byName = new Map<string, ReasonUse>();
  const unclear: string[] = [];
  const classes = errorClasses(files.values());
  for (const file of files.values()) {
    each(file, (node) => {
      if (!ts.isNewExpression(node) || !ts.isIdentifier(node.expression)) return;
      if (!classes.has(node.expression.text)) return;
      read(node, file);
    });
  }
  return { byName, unclear };

  function read(node: ts.NewExpression, file: ts.SourceFile): void {
    const place = placeOf(node, file);
    const given = node.arguments ?? [];
    const fields = given.at(-1);
    if (fields === undefined || !ts.isObjectLiteralExpression(fields)) {
      unclear.push(`${place}: the fields are not written where the error is made`);
      return;
    }
    if (textOf(fields, 'reason') === `reason: ${KERNEL_REASON}`) {
      for (const [name, code] of errnoCodes(file)) {
        const use = { places: [place], codes: new Set([code]), cniCodes: new Set<string>(), isOpen: false };
        byName.set(`kernel-${name.toLowerCase()}`, use);
      }
      return;
    }
    const reason = fieldValue(fields, 'reason', file);
    const code = given.length === 1 ? fieldValue(fields, 'code', file) : undefined;
    for (const text of reason?.texts ?? []) {
      const use = byName.get(text) ?? { places: [], codes: new Set(), cniCodes: new Set(), isOpen: false };
      byName.set(text, use);
      use.places.push(place);
      for (const known of code?.texts ?? []) use.codes.add(known);
      if (code?.isOpen === true) use.isOpen = true;
      const [cni] = given;
      if (given.length === 2 && cni !== undefined && ts.isPropertyAccessExpression(cni))
        use.cniCodes.add(cni.name.text);
    }
    if (reason === undefined) unclear.push(`${place}: ${textOf(fields, 'reason')}`);
    if (given.length === 1 && code === undefined) unclear.push(`${place}: ${textOf(fields, 'code')}`);
  }

  function fieldValue(fields: ts.ObjectLiteralExpression, name: string, file: ts.SourceFile): Value | undefined {
    const property = fields.properties.find((entry) => entry.name?.getText() === name);
    if (property === undefined) return undefined;
    if (ts.isPropertyAssignment(property)) return evaluate(property.initializer, file);
    return ts.isShorthandPropertyAssignment(property) ? evaluate(property.name, file) : undefined;
  }

  function evaluate(node: ts.Expression, file: ts.SourceFile): Value | undefined {
    if (ts.isStringLiteralLike(node)) return { texts: [node.text], isOpen: false };
    if (TAKEN_FROM_ANSWERS.has(node.getText())) return { texts: [], isOpen: true };
    if (ts.isParenthesizedExpression(node)) return evaluate(node.expression, file);
    if (ts.isConditionalExpression(node)) return either(node.whenTrue, node.whenFalse, file);
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken)
      return either(node.left, node.right, file);
    // `error.reason`: of an error that was made elsewhere.
    if (ts.isPropertyAccessExpression(node) && ['reason', 'code'].includes(node.name.text))
      return { texts: [], isOpen: true };
    if (ts.isIdentifier(node)) return ofParameter(node, file);
    if (ts.isCallExpression(node)) return ofTextMethod(node, file);
    if (ts.isTemplateExpression(node)) return ofTemplate(node, file);
    return undefined;
  }

  function either(a: ts.Expression, b: ts.Expression, file: ts.SourceFile): Value | undefined {
    const left = evaluate(a, file);
    const right = evaluate(b, file);
    if (left === undefined || right === undefined) return undefined;
    return { texts: [...left.texts, ...right.texts], isOpen: left.isOpen || right.isOpen };
  }

  function ofTextMethod(node: ts.CallExpression, file: ts.SourceFile): Value | undefined {
    if (!ts.isPropertyAccessExpression(node.expression)) return undefined;
    const subject = evaluate(node.expression.expression, file);
    const [from, to] = node.arguments.map((argument) => (ts.isStringLiteralLike(argument) ? argument.text : undefined));
    if (subject === undefined) return undefined;
    switch (node.expression.name.text) {
      case 'toLowerCase':
        return { ...subject, texts: subject.texts.map((text) => text.toLowerCase()) };
      case 'replaceAll':
        if (from === undefined || to === undefined) return undefined;
        return { ...subject, texts: subject.texts.map((text) => text.replaceAll(from, to)) };
      default:
        return undefined;
    }
  }

  function ofTemplate(node: ts.TemplateExpression, file: ts.SourceFile): Value | undefined {
    let texts: readonly string[] = [node.head.text];
    for (const span of node.templateSpans) {
      const value = evaluate(span.expression, file);
      if (value === undefined || value.isOpen) return undefined;
      texts = texts.flatMap((before) => value.texts.map((text) => before + text + span.literal.text));
    }
    return { texts, isOpen: false };
  }

  /** A parameter is whatever the calls of its function hand over. */
  function ofParameter(node: ts.Identifier, file: ts.SourceFile): Value | undefined {
    const helper = ts.findAncestor(node, ts.isFunctionDeclaration);
    const index = helper?.parameters.findIndex((parameter) => parameter.name.getText() === node.text) ?? -1;
    if (helper?.name === undefined || index < 0) return undefined;
    const texts: string[] = [];
    for (const [caller, call] of callsOf(helper.name.text, isExported(helper), file)) {
      const argument = call.arguments[index];
      const value = argument === undefined ? undefined : evaluate(argument, caller);
      if (value === undefined) unclear.push(`${placeOf(call, caller)}: ${argument?.getText() ?? 'no argument'}`);
      texts.push(...(value?.texts ?? []));
    }
    return { texts: [...new Set(texts)], isOpen: false };
  }

  function callsOf(name: string, exported: boolean, home: ts.SourceFile): [ts.SourceFile, ts.CallExpression][] {
    const calls: [ts.SourceFile, ts.CallExpression][] = [];
    for (const file of files.values()) {
      if (file !== home && !(exported && imports(file, name))) continue;
      each(file, (node) => {
        if (ts.isCallExpression(node) && node.expression.getText() === name) calls.push([file, node]);
      });
    }
    return calls;
  }
}

/** Errno names and the code of each, as the table `CODES` of `errno.ts` maps them. */
function errnoCodes(file: ts.SourceFile): ReadonlyMap<string, string> {
  const codes = new Map<string, string>();
  each(file, (node) => {
    if (!ts.isVariableDeclaration(node) || node.name.getText() !== 'CODES' || node.initializer === undefined) return;
    each(node.initializer, (entry) => {
      if (ts.isPropertyAssignment(entry) && ts.isStringLiteral(entry.initializer))
        codes.set(entry.name.getText(), entry.initializer.text);
    });
  });
  return codes;
}

function errorClasses(files: Iterable<ts.SourceFile>): ReadonlySet<string> {
  const classes = new Set(['BerthError']);
  for (const file of files) {
    each(file, (node) => {
      const base = ts.isClassDeclaration(node) ? node.heritageClauses?.[0]?.types[0]?.expression.getText() : undefined;
      if (ts.isClassDeclaration(node) && node.name !== undefined && base === 'BerthError') classes.add(node.name.text);
    });
  }
  return classes;
}

function imports(file: ts.SourceFile, name: string): boolean {
  let found = false;
  each(file, (node) => {
    if (ts.isImportSpecifier(node) && node.name.text === name) found = true;
  });
  return found;
}

function isExported(node: ts.FunctionDeclaration): boolean {
  return node.modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

function textOf(fields: ts.ObjectLiteralExpression, name: string): string {
  return fields.properties.find((entry) => entry.name?.getText() === name)?.getText() ?? `no ${name}`;
}

function placeOf(node: ts.Node, file: ts.SourceFile): string {
  return `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

function each(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => each(child, visit));
}
