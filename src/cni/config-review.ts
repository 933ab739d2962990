/**
 * Everything that is wrong with one configuration, gathered from its parsers, so that its author
 * reads all of it at once: fields of the wrong type, what contradicts itself, what cannot be
 * honoured. A field of the wrong type is left out for the later parsers; what they say of it then is
 * no news and is dropped.
 */
import {
  type ConfigProblem,
  type DecodedConfig,
  invalidConfig,
  type NetworkConfig,
  type ParsedNetwork,
  parseNetwork,
} from './config.ts';
import { withoutForeignIpam } from './delegated-ipam.ts';
import { CniFault } from './errors.ts';

/** Every field that Berth reads, which a foreign IPAM plugin's are not; never throws. */
export function parseOwnFields(fields: DecodedConfig['fields']): ParsedNetwork {
  return parseNetwork(withoutForeignIpam(fields));
}

export class ConfigReview {
  /** As far as it can be read. */
  readonly config: NetworkConfig;
  /** Where parsers put wrong fields. */
  readonly problems: ConfigProblem[] = [];
  readonly #byType: readonly ConfigProblem[];
  readonly #leftOut: readonly string[];
  readonly #faults: CniFault[] = [];

  constructor({ config, problems, leftOut }: ParsedNetwork) {
    this.config = config;
    this.#byType = problems;
    this.#leftOut = leftOut;
  }

  /** The value, or `undefined` when a `CniFault` was thrown, which {@link throwIfAny} throws then. */
  async attempt<T>(parse: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await parse();
    } catch (error) {
      if (!(error instanceof CniFault)) throw error;
      this.#faults.push(error);
      return undefined;
    }
  }

  /** Every wrong field, and what was thrown; nothing that follows from what is said already. */
  get found(): { readonly problems: readonly ConfigProblem[]; readonly faults: readonly CniFault[] } {
    const isNews = ({ path }: ConfigProblem): boolean =>
      !this.#leftOut.some((left) => path === left || path.startsWith(`${left}.`));
    return {
      problems: [...this.#byType, ...this.problems.filter(isNews)],
      faults: this.#faults.filter((fault) => !this.#followsFromType(fault)),
    };
  }

  /**
   * Throws code 7 with every wrong field as soon as there is one, else the first fault with its own
   * code; what else was found follows in the message of either.
   */
  throwIfAny(): void {
    const { problems, faults } = this.found;
    const [first, ...others] = faults;
    if (problems.length > 0) throw invalidConfig(problems, faults.map(({ message }) => message).join('; '));
    if (first === undefined || others.length === 0) {
      if (first !== undefined) throw first;
      return;
    }
    throw new CniFault(first.cniCode, {
      code: first.code,
      reason: first.reason,
      message: faults.map(({ message }) => message).join('; '),
      ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
      cause: first,
    });
  }

  /** Without its own field there is no device, and no kind of link. */
  #followsFromType({ reason }: CniFault): boolean {
    return (
      ['device-missing', 'link-kind-missing', 'unknown-link-kind'].includes(reason) &&
      this.#leftOut.some((path) => /^(runtimeConfig\.deviceID|deviceID|pciBusID|type|link)$/.test(path))
    );
  }
}
