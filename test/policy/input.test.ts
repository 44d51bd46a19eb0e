import { hostname } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { buildPolicyInput } from '#dist/policy/input.js';
import { ending, inputWith, model } from './support.js';

describe('input', () => {
  afterEach(() => {
    delete process.env.POLICY_TEST_REGION;
    delete process.env.POLICY_TEST_SECRET;
  });

  test('has the documented fields and no other', () => {
    process.env.POLICY_TEST_REGION = 'eu';
    process.env.POLICY_TEST_SECRET = 'hidden';
    const input = buildPolicyInput({
      action: 'open',
      claims: { customer: 'acme' },
      env: ['POLICY_TEST_REGION', 'POLICY_TEST_UNSET'],
      now: () => new Date('2026-01-31T12:00:00.123Z'),
      model: { metadata: { format: 'pt' }, tensors: 7, signer: 'vendor' },
    });
    expect(input).toEqual({
      action: 'open',
      time: { now_ns: 1_769_860_800_123_000_000n, rfc3339: '2026-01-31T12:00:00.123Z' },
      host: { platform: process.platform, arch: process.arch, hostname: hostname() },
      runtime: { name: 'node', version: process.versions.node },
      env: { POLICY_TEST_REGION: 'eu' },
      claims: { customer: 'acme' },
      model: { metadata: { format: 'pt' }, tensors: 7, signer: 'vendor' },
    });
  });

  test('is what the policy sees', async () => {
    process.env.POLICY_TEST_REGION = 'eu';
    const input = inputWith({
      env: ['POLICY_TEST_REGION'],
      claims: { customer: 'acme' },
      model: { metadata: { format: 'pt' }, tensors: 7, signer: 'vendor' },
    });
    const policy = model(`allow if {
      input.action == "open"
      input.host.platform == "${process.platform}"
      input.host.arch == "${process.arch}"
      input.host.hostname == "${hostname()}"
      input.runtime.name == "node"
      input.runtime.version == "${process.versions.node}"
      input.env == {"POLICY_TEST_REGION": "eu"}
      input.claims == {"customer": "acme"}
      input.model == {"metadata": {"format": "pt"}, "tensors": 7, "signer": "vendor"}
      input.time.now_ns == time.now_ns()
      time.parse_rfc3339_ns(input.time.rfc3339) == time.now_ns()
    }`);
    expect(await ending(policy, { input })).toMatchObject({ code: 'opens' });
  });

  test('names no variable of the environment that is inherited or not listed', () => {
    expect(inputWith({ env: ['toString', '__proto__', 'constructor'] }).env).toEqual({});
    expect(inputWith().env).toEqual({});
  });

  test.each([['PATH'], [{ PATH: 1 }], [[1]], [null]])('env %j is a TypeError', (env) => {
    expect(() => inputWith({ env: env as unknown as string[] })).toThrow(TypeError);
  });
});

describe('time', () => {
  test('by default is the clock', () => {
    const before = BigInt(Date.now()) * 1_000_000n;
    const { now_ns } = inputWith().time;
    expect(now_ns).toBeGreaterThanOrEqual(before);
    expect(now_ns).toBeLessThan(before + 60_000_000_000n);
  });

  test.each([
    [1_700_000_000_000_000_001n, '2023-11-14T22:13:20.000000001Z'],
    [-1n, '1969-12-31T23:59:59.999999999Z'],
    [0n, '1970-01-01T00:00:00.000Z'],
    [2n ** 63n - 1n, '2262-04-11T23:47:16.854775807Z'],
    [-(2n ** 63n), '1677-09-21T00:12:43.145224192Z'],
  ])('%d ns is exact', async (nanoseconds, rfc3339) => {
    const input = inputWith({ now: () => nanoseconds });
    expect(input.time).toEqual({ now_ns: nanoseconds, rfc3339 });
    const policy = model(`allow if { input.time.now_ns == ${nanoseconds}; time.now_ns() == ${nanoseconds} }`);
    expect(await ending(policy, { input })).toMatchObject({ code: 'opens' });
    const off = nanoseconds === 0n ? 1n : nanoseconds - (nanoseconds < 0n ? -1n : 1n);
    expect(await ending(model(`allow if input.time.now_ns == ${off}`), { input })).toMatchObject({
      code: 'PolicyDenied',
    });
  });

  test.each([[2n ** 63n], [-(2n ** 63n) - 1n], [new Date(Number.NaN)], [new Date('2300-01-01')]])(
    '%s is out of range',
    (moment) => {
      expect(() => inputWith({ now: () => moment })).toThrow(expect.objectContaining({ code: 'InvalidOption' }));
    },
  );

  test('neither a Date nor a bigint is a TypeError', () => {
    expect(() => inputWith({ now: (() => 5) as unknown as () => bigint })).toThrow(TypeError);
  });
});
