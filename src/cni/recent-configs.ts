/**
 * Network configurations that were decoded and parsed lately. All pods of a network bring the same
 * bytes, and reading them again is a tenth of an ADD. Kept is what the bytes alone say: whatever is
 * on the node is looked at for every call. Not for results of earlier plugins, which never repeat.
 */
import { type DecodedConfig, decodeConfig, type ParsedNetwork } from './config.ts';
import { parseOwnFields } from './config-review.ts';

/** A node has a few networks, and a definition some hundred bytes. */
const MOST_CONFIGS = 64;
const MOST_BYTES = 8 * 1024;

export class RecentConfigs {
  /** By their bytes, the latest last. */
  readonly #decoded = new Map<string, DecodedConfig>();
  readonly #parsed = new WeakMap<DecodedConfig, ParsedNetwork>();

  /** As {@link decodeConfig}. Nothing that it answers may be changed, which is why it is frozen. */
  decode(stdin: Buffer): DecodedConfig {
    // Latin-1 keeps every byte apart from every other.
    const key = stdin.length > MOST_BYTES ? undefined : stdin.toString('latin1');
    const known = key === undefined ? undefined : this.#decoded.get(key);
    if (key === undefined || known === undefined) {
      const decoded = decodeConfig(stdin);
      if (key !== undefined && decoded.fields.prevResult === undefined) this.#remember(key, freeze(decoded));
      return decoded;
    }
    this.#decoded.delete(key);
    this.#decoded.set(key, known);
    return known;
  }

  /** Every field that Berth reads; never throws. */
  parse(decoded: DecodedConfig): ParsedNetwork {
    const known = this.#parsed.get(decoded);
    if (known !== undefined) return known;
    const parsed = parseOwnFields(decoded.fields);
    if (Object.isFrozen(decoded)) this.#parsed.set(decoded, freeze(parsed));
    return parsed;
  }

  #remember(key: string, decoded: DecodedConfig): void {
    this.#decoded.set(key, decoded);
    const [oldest] = this.#decoded.keys();
    if (this.#decoded.size > MOST_CONFIGS && oldest !== undefined) this.#decoded.delete(oldest);
  }
}

/** With all that it holds. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const each of Object.values(value)) freeze(each);
  return value;
}
