/*
 * What an error says, as data: text, and the options that it speaks of. The library names an option as `options.trust`; the command
 * line names the same one by its flag, and leaves out advice about an option that a command has no flag for.
 */

/** An option that a message speaks of, by its path: `policy.fuel`. */
export class OptionMention {
  readonly option: string;
  /** The value that the message advises, in which case it reads `allowPlain: true`. */
  readonly value: string | null;

  constructor(option: string, value: string | null) {
    this.option = option;
    this.value = value;
  }

  toString(): string {
    return this.value === null ? `options.${this.option}` : `${this.option}: ${this.value}`;
  }
}

export type Part = string | OptionMention;

/** What went wrong, and sentences on what to do about it. */
export class Wording {
  readonly problem: readonly Part[];
  readonly advice: readonly (readonly Part[])[];

  constructor(problem: readonly Part[], advice: readonly (readonly Part[])[] = []) {
    this.problem = problem;
    this.advice = advice;
  }

  /** The same with another sentence of advice. */
  advising(sentence: Wording): Wording {
    return new Wording(this.problem, [...this.advice, sentence.problem, ...sentence.advice]);
  }

  /** The option to blame: the first that the problem speaks of. */
  get option(): string | undefined {
    return this.problem.find((part) => part instanceof OptionMention)?.option;
  }

  toString(): string {
    return [this.problem, ...this.advice].map((sentence) => sentence.join('')).join('. ');
  }
}

/** Mentions an option by its path. @param value the value that is advised */
export function option(path: string, value: string | null = null): OptionMention {
  return new OptionMention(path, value);
}

const OPTIONS = 'options.';

/** The name of an argument, as the functions that check it are told: one that begins with `options.` is that of an option. */
export function named(name: string): Part {
  return name.startsWith(OPTIONS) ? option(name.slice(OPTIONS.length)) : name;
}

type Value = Part | Wording | number | bigint;

/** A template for messages: ``say`${option('into')} is too small` ``. The advice of a wording within it stays advice. */
export function say(strings: TemplateStringsArray, ...values: readonly Value[]): Wording {
  const problem: Part[] = [];
  const advice: (readonly Part[])[] = [];
  for (const [i, text] of strings.entries()) {
    problem.push(text);
    const value = values[i];
    if (value === undefined) continue;
    if (value instanceof Wording) {
      problem.push(...value.problem);
      advice.push(...value.advice);
    } else {
      problem.push(value instanceof OptionMention ? value : String(value));
    }
  }
  return new Wording(problem, advice);
}

const WORDINGS = new WeakMap<Error, Wording>();

/** Notes how an error's message is made up. */
export function remember(error: Error, wording: Wording): void {
  WORDINGS.set(error, wording);
}

/** How an error's message is made up; one piece, if that is not known. */
export function wordingOf(error: Error): Wording {
  const wording = WORDINGS.get(error);
  return wording?.toString() === error.message ? wording : new Wording([error.message]);
}
