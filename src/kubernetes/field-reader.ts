/**
 * Fields of an object that nobody vouches for: each is of the kind that was asked for, or absent and
 * noted with its place. Not a schema: one wrong field must not take the others along.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** Longer text is nothing that a page should hold; the rest is cut off. */
const MOST_LETTERS = 1000;
/** More than any node has; an object of 1.5 MB (etcd) cannot hold as many. */
const MOST_ENTRIES = 10_000;
/** Faults that are named; the others are counted. */
const MOST_NAMED = 10;

const NOTHING: Fields = {};

export class FieldReader {
  readonly #named: string[] = [];
  #more = 0;

  /** What could not be used, and why; the first ten by name. */
  damage(): readonly string[] {
    return this.#more === 0 ? this.#named : [...this.#named, `and ${this.#more} more`];
  }

  damaged(at: string, what: string): void {
    if (this.#named.length < MOST_NAMED) this.#named.push(`${at} ${what}`.trim());
    else this.#more += 1;
  }

  /** The fields of an object; none, and a note, when it is none. */
  fields(value: unknown, at: string): Fields {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
    this.damaged(at, `is ${kindOf(value)}, not an object`);
    return NOTHING;
  }

  /** The fields of an object that may be absent. */
  optionalFields(of: Fields, key: string, at: string): Fields {
    const value = own(of, key);
    return value === undefined ? NOTHING : this.fields(value, join(at, key));
  }

  text(of: Fields, key: string, at: string): string | undefined {
    const value = own(of, key);
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'string') return value.slice(0, MOST_LETTERS);
    this.damaged(join(at, key), `is ${kindOf(value)}, not text`);
    return undefined;
  }

  flag(of: Fields, key: string, at: string): boolean | undefined {
    const value = own(of, key);
    if (value === undefined || typeof value === 'boolean') return value;
    this.damaged(join(at, key), `is ${kindOf(value)}, not true or false`);
    return undefined;
  }

  /** A whole number from 0. */
  count(of: Fields, key: string, at: string): number | undefined {
    const value = own(of, key);
    if (value === undefined || isCount(value)) return value;
    this.damaged(join(at, key), `is ${kindOf(value)}, not a whole number from 0`);
    return undefined;
  }

  oneOf<T extends string>(of: Fields, key: string, at: string, values: readonly T[]): T | undefined {
    const value = own(of, key);
    const found = values.find((each) => each === value);
    if (found === undefined && value !== undefined) this.damaged(join(at, key), `is none of ${values.join(', ')}`);
    return found;
  }

  /** Text that `parse` takes. */
  parsed<T>(of: Fields, key: string, at: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(of, key, at);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) this.damaged(join(at, key), `is ${JSON.stringify(text.slice(0, 60))}`);
    return value;
  }

  /** Notes that a field without which the entry is nothing is not there; one that cannot be used is noted already. */
  required<T>(value: T | undefined, of: Fields, key: string, at: string): T | undefined {
    if (value === undefined && own(of, key) === undefined) this.damaged(join(at, key), 'is missing');
    return value;
  }

  texts(of: Fields, key: string, at: string): readonly string[] {
    return this.#list(of, key, at).flatMap((value, index) => {
      if (typeof value === 'string') return [value.slice(0, MOST_LETTERS)];
      this.damaged(`${join(at, key)}[${index}]`, `is ${kindOf(value)}, not text`);
      return [];
    });
  }

  numbers(of: Fields, key: string, at: string): readonly number[] | undefined {
    if (own(of, key) === undefined) return undefined;
    return this.#list(of, key, at).filter(isCount);
  }

  /** What `read` makes of the objects of a list; those of which it makes nothing are left out. */
  entries<T>(
    of: Fields,
    key: string,
    at: string,
    read: (entry: Fields, at: string, reader: FieldReader) => T | undefined,
  ): readonly T[] {
    return this.#list(of, key, at).flatMap((value, index) => {
      const place = `${join(at, key)}[${index}]`;
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        this.damaged(place, `is ${kindOf(value)}, not an object`);
        return [];
      }
      const entry = read(value as Fields, place, this);
      return entry === undefined ? [] : [entry];
    });
  }

  #list(of: Fields, key: string, at: string): readonly unknown[] {
    const value = own(of, key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.damaged(join(at, key), `is ${kindOf(value)}, not a list`);
      return [];
    }
    if (value.length > MOST_ENTRIES) this.damaged(join(at, key), `has ${value.length} entries`);
    return value.slice(0, MOST_ENTRIES);
  }
}

/** Null is how an API says that a field is not set. */
function own(of: Fields, key: string): unknown {
  return Object.hasOwn(of, key) ? (of[key] ?? undefined) : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function join(at: string, key: string): string {
  return at === '' ? key : `${at}.${key}`;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
