import { CryptoTensorsError, argumentError, quote, quoteFile } from '../errors.js';
import { parseCryptoKeys, parsePolicy, parseSignature, isEncrypted } from '../format/crypto-metadata.js';
import type { Header } from '../format/header.js';
import { parseLicense } from '../format/license.js';
import { getEngine } from '../engine/load.js';
import type { Engine } from '../engine/types.js';
import { checkBoolean, checkOneOf, ownOptions, pickOptions } from '../options.js';
import { isUrl } from '../path-argument.js';
import { copyClaims } from '../policy/claims.js';
import { judgePolicy, mayRestrictTensors } from '../policy/evaluate.js';
import { buildPolicyInput, toPlain } from '../policy/input.js';
import type {
  Plain,
  PlainPolicyInput,
  PolicyAction,
  PolicyInput,
  PolicyLicense,
  PolicyTensor,
} from '../policy/input.js';
import type { PolicyRule } from '../policy/request.js';
import type { Verdict } from '../policy/verdict.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { createAccess } from '../open/access.js';
import { naming, publicError } from '../model/faults.js';
import { isBlob, isBytes, resolveModel } from '../model/input.js';
import type { OpenInput } from '../model/input.js';
import { readUnplacedHeader } from '../open/detached.js';
import { termsForPolicy } from '../open/license.js';
import { userMetadata } from '../model/metadata.js';
import { ownOpenOptions } from '../open/options.js';
import type { OpenOptions } from '../open/options.js';
import { askOther, builtInJudge, otherJudge, verdictOfOther } from '../open/policy.js';
import { isShardIndex } from '../model/shards.js';
import { startVerification } from '../open/signature.js';
import { openSource, readBlob } from '../model/source.js';
import { tensorOf } from '../model/tensor-guard.js';
import { Reserved } from '../format/vocabulary.js';

/** A policy that is in no file yet, to be tried out. */
export interface PolicyDraft {
  /** Rego text. */
  policy: string;
  /** What it is told in place of this machine's own facts, and of the file that there is not yet. */
  facts?: PolicyDraftFacts;
  /** The tensors that the file would have. Default: none. */
  tensors?: readonly PolicyTensor[];
}

/** Fields that are left out are those of this machine, of an empty file, and no variable of the environment. */
export interface PolicyDraftFacts {
  host?: Partial<PolicyInput['host']>;
  runtime?: Partial<PolicyInput['runtime']>;
  env?: PolicyInput['env'];
  model?: Partial<PolicyInput['model']>;
}

/** Options of `explainPolicy`. */
export interface ExplainOptions extends Pick<
  OpenOptions,
  'keys' | 'trust' | 'signKid' | 'claims' | 'policy' | 'signal'
> {
  /** What the policy is asked about. Default: `open`. */
  action?: PolicyAction;
  /** What the policy is told of a licence. Default: what the header says, if it is one. */
  license?: PolicyLicense | Plain<PolicyLicense>;
  /** Ask about each tensor too. Default: false. */
  tensors?: boolean;
  /** Show the values of `env` and of claims, which can be confidential. Default: their names only. */
  showValues?: boolean;
}

/** What a policy decides, and from what. */
export interface PolicyExplanation {
  /** The rule that was asked. */
  rule: 'allow';
  /** `failed`: there was no answer, which keeps a file closed as a denial does. */
  outcome: 'allowed' | 'denied' | 'failed';
  /** In words, without any value of the input. */
  reason: string;
  /**
   * What the question used of its budget of fuel (`policy.fuel`); null where the built-in engine did not get as far as an answer of
   * its own.
   */
  fuel: number | null;
  /** Whether the file's signature was verified. If not, anybody could have written this policy. Always false for a draft. */
  verified: boolean;
  /** Key id of the signer that was verified, or that the file only names. */
  signer: string | null;
  policy: string;
  input: ExplainedInput;
  /** Per tensor in data order, if asked for: what a file that opens lets the caller read. */
  tensors: readonly ExplainedTensor[] | null;
}

export interface ExplainedTensor {
  name: string;
  outcome: PolicyExplanation['outcome'];
  reason: string;
  fuel: number | null;
}

/** What the policy saw. Of `env` and of claims the names alone, unless `showValues` asks for more. */
export type ExplainedInput = Omit<PlainPolicyInput, 'env' | 'claims' | 'license'> & {
  readonly env: readonly string[] | PlainPolicyInput['env'];
  readonly claims: readonly string[] | PlainPolicyInput['claims'];
  readonly license?: Omit<Plain<PolicyLicense>, 'claims'> & {
    readonly claims: readonly string[] | PlainPolicyInput['claims'];
  };
};

const OPENING_OPTIONS = ['keys', 'trust', 'signKid', 'claims', 'policy', 'signal'] as const;
const FACTS = ['host', 'runtime', 'env', 'model'] as const;
/** Those that are not options of opening. */
const OWN_OPTIONS = ['action', 'license', 'tensors', 'showValues'] as const;

/**
 * What the policy of a file (or of a detached header, or a draft) would decide for this caller, and why. Nothing is opened: no
 * master key is needed, and a denial is an answer, not an error. The signature is verified if keys or trust are configured;
 * the explanation says whether it was.
 *
 * ```ts
 * const { outcome, reason } = await explainPolicy('model.ct.safetensors', { trust: 'vendor.json', claims: { customer: 'acme' } });
 * ```
 *
 * @throws {CryptoTensorsError} what `inspectFile` throws; `NotEncrypted` for a plain file; `BadSignature`, `UntrustedSigner`,
 * `KeyNotFound` if keys or trust are configured; `InvalidOption`
 * @throws {AbortError} when `signal` fires
 */
export async function explainPolicy(
  input: OpenInput | PolicyDraft,
  options: ExplainOptions = {},
): Promise<PolicyExplanation> {
  return runAsync(explain(input, ownExplainOptions(options, 'explainPolicy')));
}

/** `explainPolicy`, blocking the calling thread. */
export function explainPolicySync(input: OpenInput | PolicyDraft, options: ExplainOptions = {}): PolicyExplanation {
  return runSync(explain(input, ownExplainOptions(options, 'explainPolicySync')));
}

/** The options, read. */
type Explaining = Omit<ExplainOptions, 'license'> & { license?: PolicyLicense };

function ownExplainOptions(options: unknown, where: string): Explaining {
  const own = ownOptions<ExplainOptions>(options, [...OPENING_OPTIONS, ...OWN_OPTIONS], where);
  checkOneOf(own.action, 'options.action', ['open', 'read', 'rewrap']);
  checkBoolean(own.tensors, 'options.tensors');
  checkBoolean(own.showValues, 'options.showValues');
  const read = { license: own.license === undefined ? undefined : ownPolicyLicense(own.license) };
  return Object.assign(pickOptions(own, OWN_OPTIONS), openingOptions(own, where), read) as Explaining;
}

/** Those of opening: there `license` is a licence, here it is what a policy is told of one. */
function openingOptions(options: Pick<ExplainOptions, (typeof OPENING_OPTIONS)[number]>, where: string): OpenOptions {
  return ownOpenOptions(pickOptions(options, OPENING_OPTIONS), where);
}

function ownPolicyLicense(license: unknown): PolicyLicense {
  const name = 'options.license';
  const own = ownOptions<PolicyLicense>(
    license,
    ['id', 'claims', 'issued_ns', 'expires_ns', 'not_before_ns'],
    name,
    name,
  );
  if (typeof own.id !== 'string') throw argumentError(`${name}.id`, 'a string', own.id);
  return {
    id: own.id,
    claims: copyClaims(own.claims ?? {}, `${name}.claims`),
    issued_ns: readTime(own.issued_ns, `${name}.issued_ns`),
    expires_ns: own.expires_ns == null ? null : readTime(own.expires_ns, `${name}.expires_ns`),
    not_before_ns: own.not_before_ns == null ? null : readTime(own.not_before_ns, `${name}.not_before_ns`),
  };
}

function readTime(time: unknown, name: string): bigint {
  if (typeof time === 'bigint') return time;
  if (typeof time === 'number' && Number.isInteger(time)) return BigInt(time);
  throw argumentError(name, 'an integer, of nanoseconds since 1970', time);
}

/** A policy, what it is told, and how far that is to be trusted. */
interface Subject {
  policy: string;
  input: PolicyInput;
  tensors: readonly PolicyTensor[];
  verified: boolean;
  signer: string | null;
}

function* explain(input: OpenInput | PolicyDraft, options: Explaining): Twin<PolicyExplanation> {
  const subject = isDraft(input) ? describeDraft(input, options) : yield* describeFile(input, options);
  const verdict = yield* judgeOpening(subject, options);
  const tensors = options.tensors === true ? yield* judgeTensorsOf(subject, options) : null;
  const { policy, verified, signer } = subject;
  return {
    rule: 'allow',
    ...inWords(verdict, 'allow'),
    verified,
    signer,
    policy,
    input: show(subject.input, options.showValues === true),
    tensors,
  };
}

function isDraft(input: unknown): input is PolicyDraft {
  return typeof input === 'object' && input !== null && !isBytes(input) && !isBlob(input) && !isUrl(input);
}

function describeDraft(draft: PolicyDraft, options: Explaining): Subject {
  const given = ownOptions<PolicyDraft>(draft, ['policy', 'facts', 'tensors'], 'a policy draft', 'input');
  const { policy, facts } = given;
  if (typeof policy !== 'string') throw argumentError('input.policy', 'a string', policy);
  const drafted = ownOptions<PolicyDraftFacts>(facts, FACTS, 'the facts of a policy draft', 'input.facts');
  const { host, runtime, env, model } = copyClaims(drafted, 'input.facts') as PolicyDraftFacts;
  const tensors = readTensors(given.tensors ?? []);
  const own = factsOf({ metadata: {}, tensors: tensors.length, signer: null }, options);
  const input: PolicyInput = {
    ...own,
    host: { ...own.host, ...host },
    runtime: { ...own.runtime, ...runtime },
    env: { ...own.env, ...env },
    model: { ...own.model, ...model },
  };
  return { policy, input, tensors, verified: false, signer: null };
}

function readTensors(tensors: unknown): PolicyTensor[] {
  if (!Array.isArray(tensors)) throw argumentError('input.tensors', 'a list of tensors', tensors);
  return tensors.map((tensor: unknown, i) => {
    const label = `input.tensors[${i}]`;
    const { name, dtype, shape } = ownOptions<PolicyTensor>(tensor, ['name', 'dtype', 'shape'], label, label);
    if (typeof name !== 'string') throw argumentError(`${label}.name`, 'a string', name);
    if (typeof dtype !== 'string') throw argumentError(`${label}.dtype`, 'a string', dtype);
    if (!Array.isArray(shape)) throw argumentError(`${label}.shape`, 'a list of dimensions', shape);
    for (const dimension of shape as unknown[]) {
      if (typeof dimension === 'bigint' || (typeof dimension === 'number' && Number.isInteger(dimension))) continue;
      throw argumentError(`a dimension of ${label}.shape`, 'an integer', dimension);
    }
    return { name, dtype, shape: shape as PolicyTensor['shape'] };
  });
}

function* describeFile(input: OpenInput, options: Explaining): Twin<Subject> {
  const given = resolveModel(input);
  const target = typeof given === 'string' ? given : yield* readBlob(given, 'input');
  if (typeof target === 'string' && isShardIndex(target)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `input: ${quote(target)} is a shard index, and each shard has a policy of its own; give them one by one`,
      { path: target },
    );
  }
  const path = typeof target === 'string' ? target : undefined;
  const engine = getEngine();
  try {
    const source = yield* openSource(target, engine);
    try {
      const { header } = yield* readUnplacedHeader(engine, source);
      return yield* describeHeader(engine, header, path, options);
    } finally {
      source.close();
    }
  } catch (error) {
    throw naming(publicError(error, { path, names: [], signal: options.signal }), path);
  }
}

function* describeHeader(engine: Engine, header: Header, path: string | undefined, options: Explaining): Twin<Subject> {
  if (!isEncrypted(header.metadata)) {
    throw new CryptoTensorsError(
      'NotEncrypted',
      `${quoteFile(path)} is neither encrypted nor signed, so there is no policy in it`,
      path === undefined ? {} : { path },
    );
  }
  const metadata = header.metadata!;
  const { sign } = parseCryptoKeys(metadata.get(Reserved.cryptoKeys)!);
  const signature = parseSignature(metadata.get(Reserved.signature)!);
  const access = yield* createAccess(pickOptions(options, OPENING_OPTIONS), engine, options.action);
  try {
    // Keys or trust are configured.
    const verified = access.mustBeEncrypted;
    let signer = sign.kid;
    if (verified) {
      const candidates = yield* access.verifyingKeys(sign);
      const verification = yield* startVerification(engine, header, candidates, signature, sign.kid);
      signer = (yield* verification.result()).kid;
    }
    return {
      policy: parsePolicy(metadata.get(Reserved.policy)!).local,
      input: factsOf(
        { metadata: userMetadata(header) ?? {}, tensors: header.count, signer },
        withLicense(header, options),
      ),
      tensors: options.tensors === true ? header.names.map((_, index) => tensorOf(header, index)) : [],
      verified,
      signer,
    };
  } finally {
    access.dispose();
  }
}

/** A header that is a licence says by itself what its policy is told of it. */
function withLicense(header: Header, options: Explaining): Explaining {
  const license = options.license === undefined ? parseLicense(header) : null;
  return license === null
    ? options
    : Object.assign(pickOptions(options, [...OPENING_OPTIONS, ...OWN_OPTIONS]), { license: termsForPolicy(license) });
}

function factsOf(model: PolicyInput['model'], options: Explaining): PolicyInput {
  return buildPolicyInput({
    action: options.action ?? 'open',
    claims: options.claims ?? {},
    env: options.policy?.env,
    now: options.policy?.now,
    license: options.license,
    model,
  });
}

function* judgeOpening({ policy, input }: Subject, options: Explaining): Twin<Verdict> {
  const evaluate = options.policy?.evaluate;
  if (evaluate === undefined) {
    return yield* judgePolicy(policy, { input, fuel: options.policy?.fuel, signal: options.signal });
  }
  try {
    const allowed = yield* askOther(evaluate, policy, input, options.signal);
    return verdictOfOther(allowed);
  } catch (error) {
    return failure(error);
  }
}

function* judgeTensorsOf({ policy, input, tensors }: Subject, options: Explaining): Twin<ExplainedTensor[]> {
  const reading: PolicyInput = { ...input, action: 'read' };
  const evaluate = options.policy?.evaluate;
  const fuel = options.policy?.fuel;
  // As the reader does: a policy that says nothing of tensors is not asked.
  const judge =
    evaluate === undefined || !mayRestrictTensors(policy)
      ? builtInJudge(policy, reading, fuel)
      : otherJudge(evaluate, policy, reading);
  let verdicts: readonly Verdict[];
  try {
    verdicts = yield* judge.judge(tensors, options.signal);
  } catch (error) {
    const failed = failure(error);
    verdicts = tensors.map(() => failed);
  }
  return tensors.map(({ name }, i) => ({ name, ...inWords(verdicts[i]!, 'allow_tensor') }));
}

/** @throws `error` unless it says that there was no answer */
function failure(error: unknown): Verdict {
  if (error instanceof CryptoTensorsError && error.code === 'PolicyError') {
    return { outcome: 'failed', problem: error.message, fuel: null };
  }
  throw error;
}

function inWords(verdict: Verdict, rule: PolicyRule): Pick<PolicyExplanation, 'outcome' | 'reason' | 'fuel'> {
  const { outcome, fuel } = verdict;
  if (outcome === 'failed') return { outcome, reason: String(verdict.problem), fuel };
  const hint = verdict.found === 'undefined' ? ': none of its rules holds for this input' : '';
  return { outcome, reason: `data.model.${rule} is ${verdict.found}${hint}`, fuel };
}

function show(exact: PolicyInput, values: boolean): ExplainedInput {
  const { license, ...input } = toPlain(exact);
  const shown = <Value extends object>(record: Value): Value | string[] => (values ? record : Object.keys(record));
  return {
    ...input,
    env: shown(input.env),
    claims: shown(input.claims),
    ...(license === undefined ? {} : { license: { ...license, claims: shown(license.claims) } }),
  };
}
