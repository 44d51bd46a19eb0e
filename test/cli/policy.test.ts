import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli, document, errorOf, encryptedWorkspace, temporaryFolder, workspace } from './harness.js';
import type { CliResult } from './harness.js';

const POLICY = `package model
import rego.v1
default allow := false
allow if { input.claims.customer == "acme"; input.env.POLICY_REGION == "eu"; time.now_ns() < time.parse_rfc3339_ns("2030-01-01T00:00:00Z") }
allow_tensor if not startswith(input.tensor.name, "encoder.")
`;
const ACME = [
  '--claims',
  '{"customer":"acme","token":"s3cret"}',
  '--policy-env',
  'POLICY_REGION',
  '--now',
  '2029-01-01T00:00:00Z',
];
const env = { POLICY_REGION: 'eu' };

describe('policy check', () => {
  async function check(args: readonly string[], more: readonly string[] = ['-k', 'keys.json']): Promise<CliResult> {
    const cwd = await workspace();
    writeFileSync(join(cwd, 'p.rego'), POLICY);
    const encrypt = ['encrypt', 'plain.safetensors', 'model.ct.safetensors', '-k', 'keys.json', '--policy', 'p.rego'];
    expect((await cli(encrypt, { cwd })).exitCode).toBe(0);
    return cli(['policy', 'check', 'model.ct.safetensors', ...more, ...args], { cwd, env });
  }

  it('says what is allowed, what the policy saw and who signed it, with exit code 0', async () => {
    const { exitCode, stdout, stderr } = await check([...ACME, '--ask-tensors']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(
      /^model\.ct\.safetensors: allowed\n {2}data\.model\.allow is true\n {2}verified, signed by \S+\n {2}[\d,]{7,} units of fuel used\n/,
    );
    expect(stdout).toContain('input.time     2029-01-01T00:00:00.000Z\n');
    expect(stdout).toContain('input.env      POLICY_REGION\ninput.claims   customer, token\n');
    expect(stdout).toMatch(/^position_ids +allowed +[\d,]{7,} +data\.model\.allow_tensor is true$/m);
    expect(stdout).toMatch(/^encoder\.0\.bias +denied +[\d,]{7,} +data\.model\.allow_tensor is undefined/m);
    expect(stdout).not.toContain('s3cret');
  });

  it('says what is denied, with exit code 3, as text and as one JSON document', async () => {
    const { exitCode, stdout, stderr } = await check(['--claims', '{"customer":"acme"}']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 3, stderr: '' });
    expect(stdout).toContain('model.ct.safetensors: denied\n  data.model.allow is false\n');
    const json = await check([...ACME.slice(0, 4), '--now', '2030-01-01T00:00:00Z', '--json']);
    expect(json.exitCode).toBe(3);
    expect(document(json)).toMatchObject({
      outcome: 'denied',
      verified: true,
      input: { claims: ['customer', 'token'], time: { rfc3339: '2030-01-01T00:00:00.000Z' } },
    });
  });

  it('shows values only when it is told to', async () => {
    const { stdout } = await check([...ACME, '--show-values']);
    expect(stdout).toContain('input.env      {"POLICY_REGION":"eu"}\n');
    expect(stdout).toContain('"token":"s3cret"');
  });

  it('says when nothing was verified', async () => {
    const { exitCode, stdout } = await check(ACME, []);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('  UNVERIFIED: ');
  });

  it('explains a text by itself, and what is wrong with it', async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'p.rego'), 'package model\nallow = ');
    const { exitCode, stdout } = await cli(['policy', 'check', 'p.rego'], { cwd });
    expect(exitCode).toBe(3);
    expect(stdout).toContain('p.rego: failed\n  line 2, column 9 ("allow ="): expecting expression\n');
  });

  it('refuses what is no time, no claims, no such file', async () => {
    const cwd = await encryptedWorkspace();
    const codes = async (args: readonly string[]) => {
      const result = await cli(['policy', 'check', ...args, '--json'], { cwd });
      return [result.exitCode, errorOf(result).code];
    };
    expect(await codes(['model.ct.safetensors', '--now', 'tomorrow'])).toEqual([2, 'UsageError']);
    expect(await codes(['model.ct.safetensors', '--now', '2026-02-31T25:00:00Z'])).toEqual([2, 'UsageError']);
    expect(await codes(['model.ct.safetensors', '--claims', '[]'])).toEqual([2, 'UsageError']);
    expect(await codes(['absent.safetensors'])).toEqual([1, 'FileError']);
    expect(await codes(['plain.safetensors'])).toEqual([3, 'NotEncrypted']);
  });
});

describe('policy test', () => {
  /** Runs the policy above (or another) against cases. */
  async function testCases(cases: unknown, more: readonly string[] = [], policy = POLICY): Promise<CliResult> {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'p.rego'), policy);
    writeFileSync(join(cwd, 'cases.json'), typeof cases === 'string' ? cases : JSON.stringify(cases));
    return cli(['policy', 'test', 'p.rego', 'cases.json', ...more], { cwd });
  }
  const good = {
    name: 'acme in the EU',
    input: { claims: { customer: 'acme' }, env: { POLICY_REGION: 'eu' } },
    expect: 'allow',
    tensors: [
      { name: 'position_ids', expect: 'allow' },
      { name: 'encoder.0', dtype: 'F16', shape: [2, 3], expect: 'deny' },
    ],
  };

  it('prints a table, and exits with 0 if all is as expected', async () => {
    const { exitCode, stdout, stderr } = await testCases([good, { name: 'nobody', expect: 'deny' }]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^ +CASE +ASKED +EXPECTED +FOUND +FUEL +REASON\n/);
    expect(stdout).toMatch(/^ok +acme in the EU +allow +allow +allow +[\d,]{7,} +data\.model\.allow is true$/m);
    expect(stdout).toMatch(/^ok +acme in the EU +tensor encoder\.0 +deny +deny /m);
    expect(stdout).toMatch(/\nall 4 as expected\n$/);
  });

  it('exits with 1 if something is not, and says what', async () => {
    const cases = [
      good,
      { ...good, name: 'too late', input: { ...good.input, time: { rfc3339: '2031-01-01T00:00:00Z' } } },
    ];
    const { exitCode, stdout } = await testCases(cases);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^FAIL +too late +allow +allow +deny +[\d,]{7,} +data\.model\.allow is false$/m);
    expect(stdout).toMatch(/\n1 of 6 NOT as expected\n$/);
    const json = await testCases(cases, ['--json']);
    expect(json.exitCode).toBe(1);
    expect(document(json)).toMatchObject({ policy: 'p.rego', cases: 2, checks: 6, failed: 1 });
    expect((document(json).results as { passed: boolean }[]).map(({ passed }) => passed)).toEqual([
      ...[true, true, true],
      ...[false, true, true],
    ]);
  });

  it('can expect that a policy fails', async () => {
    const cases = [{ name: 'broken', expect: 'error' }];
    expect((await testCases(cases, [], 'package model\nallow = ')).exitCode).toBe(0);
    expect((await testCases(cases, [], 'package model\nallow if 1/0 == 1')).exitCode).toBe(0);
    expect((await testCases(cases)).exitCode).toBe(1);
  });

  it('does not depend on this machine, its clock or its environment', async () => {
    const policy = `package model
allow if {
  input.action == "open"
  input.time.rfc3339 == "2026-01-01T00:00:00.000Z"
  input.host == {"platform": "linux", "arch": "x64", "hostname": "localhost"}
  input.runtime == {"name": "node", "version": "20.19.0"}
  input.env == {}
  input.claims == {}
  not input.license
  input.model == {"metadata": {}, "tensors": 1, "signer": null}
}`;
    expect((await testCases([{ name: 'defaults', expect: 'allow' }], [], policy)).exitCode).toBe(0);
  });

  it.each([
    ['{', 'is not JSON'],
    [{}, 'must be a JSON array of cases'],
    [[], 'holds no case'],
    [[1], 'case 1 must be an object'],
    [[{ expect: 'allow' }], 'case 1: name must be a string'],
    [[{ name: 'a' }], 'case 1 (a): expect must be one of "allow", "deny", "error"'],
    [[{ name: 'a', expect: 'yes' }], 'expect must be one of'],
    [[{ name: 'a', expect: 'allow', inputs: {} }], 'has an unknown field "inputs"'],
    [[{ name: 'a', expect: 'allow', input: { claim: {} } }], 'has an unknown field "claim"'],
    [[{ name: 'a', expect: 'allow', input: { time: { rfc3339: 'noon' } } }], 'input.time.rfc3339 must be a time'],
    [[{ name: 'a', expect: 'allow', input: { action: 'write' } }], 'input.action must be one of'],
    [[{ name: 'a', expect: 'allow', input: { host: { name: 'x' } } }], 'has an unknown field "name"'],
    [[{ name: 'a', expect: 'allow', input: { license: { expires: 5 } } }], 'input.license.expires must be a string'],
    [[{ name: 'a', expect: 'allow', tensors: {} }], 'tensors must be an array'],
    [[{ name: 'a', expect: 'allow', tensors: [{ name: 't' }] }], 'tensor 1: expect must be one of'],
  ])('refuses %j with exit code 2 and says where', async (cases, message) => {
    const { exitCode, stdout, stderr } = await testCases(cases);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('cases.json');
    expect(stderr).toContain(message);
  });
});
