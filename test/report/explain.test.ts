import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explainPolicy, explainPolicySync, generateKeys, safeOpen, saveFileSync } from 'cryptotensors';
import type { CryptoTensorsError, ExplainOptions, PolicyExplanation } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, saveSmallModel, smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const POLICY = `package model
import rego.v1
default allow := false
allow if { input.claims.customer == "acme"; time.now_ns() < time.parse_rfc3339_ns("2026-07-01T00:00:00Z") }
allow_tensor if not startswith(input.tensor.name, "encoder.")
allow_tensor if input.license.claims.plan == "full"
`;
const path = saveSmallModel(folder, 'explained.safetensors', { policy: { local: POLICY } });
const SECRETS = { customer: 'acme', token: 's3cret-token' };
const now = (): Date => new Date('2026-05-01T00:00:00Z');

/** Both forms, which must agree. */
async function explained(
  input: Parameters<typeof explainPolicy>[0],
  { policy, ...options }: ExplainOptions = {},
): Promise<PolicyExplanation> {
  const all = { ...options, policy: { now, ...policy } };
  const found = await explainPolicy(input, all);
  expect(explainPolicySync(input, all)).toEqual(found);
  return found;
}

describe('of a file', () => {
  test('allowed', async () => {
    const found = await explained(path, { keys: KEYS, claims: SECRETS });
    expect(found).toMatchObject({
      rule: 'allow',
      outcome: 'allowed',
      reason: 'data.model.allow is true',
      verified: true,
      policy: POLICY,
      tensors: null,
    });
    expect(found.signer).toBe((await safeOpen(path, { keys: KEYS, claims: SECRETS, policy: { now } })).signers()[0]);
    expect(found.input).toMatchObject({
      action: 'open',
      time: { rfc3339: '2026-05-01T00:00:00.000Z' },
      claims: ['customer', 'token'],
      env: [],
      model: { tensors: smallTensors().size, signer: found.signer },
    });
  });

  test('denied, which is an answer and not an error', async () => {
    expect(await explained(path, { keys: KEYS, claims: { customer: 'initech' } })).toMatchObject({
      outcome: 'denied',
      reason: 'data.model.allow is false',
    });
    const late = { now: () => new Date('2026-07-01T00:00:00Z') };
    expect(await explained(path, { keys: KEYS, claims: SECRETS, policy: late })).toMatchObject({ outcome: 'denied' });
    expect(await explained({ policy: 'package model\nallow if input.claims.x' })).toMatchObject({
      outcome: 'denied',
      reason: 'data.model.allow is undefined: none of its rules holds for this input',
    });
  });

  test('agrees with what opening does', async () => {
    for (const claims of [SECRETS, { customer: 'x' }, {}]) {
      const { outcome } = await explained(path, { keys: KEYS, claims });
      const opened = await safeOpen(path, { keys: KEYS, claims, policy: { now } }).then(
        (file) => file.close().then(() => 'allowed'),
        (error: unknown) => ((error as CryptoTensorsError).code === 'PolicyDenied' ? 'denied' : error),
      );
      expect(outcome).toBe(opened);
    }
  });

  test('tensor by tensor, as reading does', async () => {
    const { tensors } = await explained(path, { keys: KEYS, claims: SECRETS, tensors: true });
    await using file = await safeOpen(path, { keys: KEYS, claims: SECRETS, policy: { now } });
    expect(tensors!.map(({ name }) => name)).toEqual(file.offsetKeys());
    const allowed = tensors!.filter(({ outcome }) => outcome === 'allowed').map(({ name }) => name);
    expect(allowed.sort()).toEqual(await file.allowedKeys());
    const bias = tensors!.find(({ name }) => name === 'encoder.bias')!;
    expect(bias.fuel).toBeGreaterThan(0);
    expect(bias).toEqual({
      name: 'encoder.bias',
      fuel: bias.fuel,
      outcome: 'denied',
      reason: 'data.model.allow_tensor is undefined: none of its rules holds for this input',
    });
    const license = { id: 'L', claims: { plan: 'full' }, issued_ns: 0n, expires_ns: null, not_before_ns: null };
    const full = await explained(path, { keys: KEYS, claims: SECRETS, tensors: true, license });
    expect(full.tensors!.every(({ outcome }) => outcome === 'allowed')).toBe(true);
  });

  test('without keys or trust is not verified, and says so', async () => {
    const found = await explained(path, { claims: SECRETS });
    expect(found).toMatchObject({ verified: false, outcome: 'allowed' });
    // What the header says of itself.
    expect(found.signer).toBe((await explained(path, { keys: KEYS, claims: SECRETS })).signer);
  });

  test('that was changed, or that another signed, is refused if keys are given', async () => {
    const bytes = readFileSync(path);
    const changed = Buffer.from(bytes.toString('latin1').replace('acme', 'mine'), 'latin1');
    await refusal('BadSignature', () => explainPolicy(changed, { keys: KEYS }));
    expect(await explained(changed, { claims: { customer: 'mine' } })).toMatchObject({
      verified: false,
      outcome: 'allowed',
    });
    const other = generateKeys();
    await refusal('UntrustedSigner', () => explainPolicy(path, { trust: other }));
  });

  test('needs no master key', async () => {
    const { keys } = JSON.parse(readFileSync(KEYS, 'utf8')) as { keys: { kty: string }[] };
    const trust = { keys: keys.filter(({ kty }) => kty.toUpperCase() === 'OKP') } as never;
    expect(await explained(path, { trust, claims: SECRETS })).toMatchObject({ verified: true, outcome: 'allowed' });
  });

  test('that is plain, or an index of shards, is refused', async () => {
    const plain = join(folder, 'plain.safetensors');
    saveFileSync(smallTensors(), plain);
    await refusal('NotEncrypted', () => explainPolicy(plain));
    const index = join(folder, 'model.safetensors.index.json');
    writeShardIndex(index, { a: 'explained.safetensors' });
    await refusal('InvalidOption', () => explainPolicy(index));
  });

  test('that holds a header only: a detached one', async () => {
    const bytes = readFileSync(path);
    const header = join(folder, 'detached.header');
    writeFileSync(header, bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE(0))));
    expect(await explained(header, { keys: KEYS, claims: SECRETS })).toMatchObject({
      verified: true,
      outcome: 'allowed',
    });
  });
});

describe('of a draft', () => {
  test('that fails says why, and where', async () => {
    expect(await explained({ policy: 'package model\nallow = ' })).toMatchObject({
      outcome: 'failed',
      reason: 'line 2, column 9 ("allow ="): expecting expression',
      verified: false,
      signer: null,
    });
    expect(await explained({ policy: 'package model' })).toMatchObject({ outcome: 'failed' });
  });

  test('sees the facts that it is given, and this machine for the rest', async () => {
    const policy = `package model
allow if { input.host.hostname == "gpu-1"; input.env.REGION == "eu"; input.model.metadata.format == "pt" }`;
    const facts = { host: { hostname: 'gpu-1' }, env: { REGION: 'eu' }, model: { metadata: { format: 'pt' } } };
    const { outcome, input } = await explained({ policy, facts });
    expect(outcome).toBe('allowed');
    expect(input.host).toEqual({ platform: process.platform, arch: process.arch, hostname: 'gpu-1' });
  });

  test('of which a tensor fails, or all at once', async () => {
    const tensors = ['1', 'x'].map((name) => ({ name, dtype: 'F32', shape: [1] }));
    const policy = 'package model\nallow := true\nallow_tensor if to_number(input.tensor.name) == 1';
    const { tensors: found } = await explained({ policy, tensors }, { tensors: true });
    expect(found!.map(({ outcome }) => outcome)).toEqual(['allowed', 'failed']);
    const wrong = await explained({ policy: 'package model\nallow_tensor if x', tensors }, { tensors: true });
    expect(wrong.tensors!.map(({ outcome }) => outcome)).toEqual(['failed', 'failed']);
    const silent = await explained({ policy: 'package model\nallow := true', tensors }, { tensors: true });
    expect(silent.tensors![0]).toEqual({
      name: '1',
      outcome: 'allowed',
      fuel: 0,
      reason: 'data.model.allow_tensor is not defined',
    });
  });

  test.each([
    [{ policy: 1 }, 'input.policy must be a string'],
    [{}, 'input.policy must be a string'],
    [{ policy: '', fact: {} }, 'unknown option "fact"'],
    [{ policy: '', facts: { claims: {} } }, 'unknown option "claims"'],
    [null, 'input must be'],
    [5, 'input must be'],
  ])('%j is a TypeError', async (input, message) => {
    const error: unknown = await explainPolicy(input as never).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(message);
  });
});

test('shows no value of a claim or a variable unless it is asked to', async () => {
  process.env.EXPLAIN_TEST = 's3cret-variable';
  try {
    const license = { id: 'L', claims: { pin: 's3cret-pin' }, issued_ns: 0n, expires_ns: null, not_before_ns: null };
    const options = { keys: KEYS, claims: SECRETS, license, policy: { env: ['EXPLAIN_TEST'] }, tensors: true };
    const text = (found: PolicyExplanation): string =>
      JSON.stringify(found, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    expect(text(await explained(path, options))).not.toContain('s3cret');
    const { input } = await explained(path, { ...options, showValues: true });
    expect(input).toMatchObject({
      env: { EXPLAIN_TEST: 's3cret-variable' },
      claims: SECRETS,
      license: { claims: { pin: 's3cret-pin' } },
    });
  } finally {
    delete process.env.EXPLAIN_TEST;
  }
});

test('asks an engine that is plugged in', async () => {
  const asked: string[] = [];
  const policy = {
    evaluate: (_: string, { action, tensor }: { action: string; tensor?: { name: string } }): boolean => {
      asked.push(`${action} ${tensor?.name ?? ''}`.trim());
      if (tensor?.name === 'scale') throw new Error('no connection');
      return true;
    },
  };
  const found = await explainPolicy(path, { keys: KEYS, policy, tensors: true });
  expect(found.outcome).toBe('allowed');
  expect(
    found.tensors!.every(({ outcome, reason }) => outcome === 'failed' && reason.includes('evaluate failed')),
  ).toBe(true);
  expect(asked[0]).toBe('open');
});

test('unknown options are refused', async () => {
  await expect(explainPolicy(path, { header: path } as never)).rejects.toThrow(
    'unknown option "header" of explainPolicy',
  );
  await refusal('InvalidOption', () => explainPolicy(path, { action: 'write' } as never));
});
