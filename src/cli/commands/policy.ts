import type { Command } from 'commander';
import { explainPolicy, verifyLicense } from '../../index.js';
import type { ExplainOptions, ExplainedInput, PolicyExplanation } from '../../index.js';
import { ResultExit, usageError } from '../cli-error.js';
import { EXIT_CODE_HELP, ExitCode } from '../exit-codes.js';
import { readPolicy, readText } from '../files.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOutputFlags, given, parseClaims } from '../flags.js';
import type { OutputFlags } from '../flags.js';
import { keyInputs } from '../key-inputs.js';
import { interruptible } from '../interrupt.js';
import { Output } from '../output.js';
import { parseCases, runCases } from '../policy-cases.js';
import type { CaseResult } from '../policy-cases.js';
import { count } from '../sizes.js';
import { formatTable } from '../table.js';
import { visible, visibleName } from '../terminal-text.js';
import { withoutPrototype } from '../../options.js';

export function addPolicyCommand(program: Command): void {
  const policy = program
    .command('policy')
    .summary('say what a policy decides, and try one out before it is shipped')
    .description('Says what the policy of a file decides and why, and tests a policy that is in no file yet.');
  addCheckCommand(policy);
  addTestCommand(policy);
}

type CheckFlags = OutputFlags &
  Flags<
    | 'keys' | 'trust' | 'signKid' | 'license' | 'claims' | 'policyEnv' | 'now' | 'action' | 'askTensors'
    | 'showValues' | 'policyFuel'
  >; // prettier-ignore

function addCheckCommand(policy: Command): void {
  const command = policy
    .command('check')
    .summary("explain what a file's policy would decide")
    .description(
      "Asks the policy of a file what it would decide, and shows what it saw. Opens nothing and needs no master key. The header's " +
        'signature is verified if --keys or --trust are given (or CRYPTOTENSOR_KEYS is set); otherwise it says UNVERIFIED.',
    )
    .argument('<file>', 'encrypted file, detached header, or Rego text (*.rego)');
  addFlags(command, {
    keys:
      'JWK, JWK set or PEM with keys that may have signed the file; may be repeated (default: the environment variable ' +
      'CRYPTOTENSOR_KEYS)',
    trust: true,
    signKid: true,
    license: "licence whose terms and policy count in place of the file's own (default: none)",
    claims: true,
    policyEnv: true,
    now: 'time that the policy is told, such as 2026-01-31T12:00:00Z (default: now)',
    action: true,
    askTensors: true,
    showValues: true,
    policyFuel: true,
  });
  addOutputFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors policy check model.ct.safetensors --trust vendor-public.json --claims '{"customer":"acme"}'
  cryptotensors policy check model.ct.safetensors --claims @claims.json --policy-env REGION --now 2030-01-01T00:00:00Z
  cryptotensors policy check license.rego --claims '{"plan":"trial"}'

Exits with 0 if the policy allows, and with 3 if it denies or fails.
${EXIT_CODE_HELP}`,
    )
    .action(check);
}

async function check(path: string, flags: CheckFlags): Promise<void> {
  const output = new Output(flags);
  const { now } = flags;
  const options: ExplainOptions = given({
    keys: keyInputs(flags.keys),
    trust: keyInputs(flags.trust),
    signKid: flags.signKid,
    claims: flags.claims === undefined ? undefined : parseClaims(flags.claims),
    policy: given({ env: flags.policyEnv, now: now && (() => now), fuel: flags.policyFuel }),
    action: flags.action,
    tensors: flags.askTensors,
    showValues: flags.showValues,
  });
  const draft = path.endsWith('.rego');
  const explained = await interruptible(async (signal) => {
    if (flags.license === undefined)
      return explainPolicy(draft ? { policy: readPolicy(path) } : path, { ...options, signal });
    if (draft) throw usageError('--license goes with the file that it opens, not with Rego text');
    const found = await explainPolicy(flags.license, { ...options, signal });
    const { keys, trust, signKid } = options;
    // Only what is signed can be held against a body.
    if (found.verified) {
      await verifyLicense(flags.license, given({ keys, trust, signKid, body: path, now: now && (() => now), signal }));
    }
    return found;
  });
  output.result({ path, ...explained }, [
    `${visibleName(path)}: ${explained.outcome}`,
    `  ${visible(explained.reason)}`,
    `  ${draft ? 'a policy by itself, in no file' : describeSignature(explained)}`,
    `  ${describeFuel(explained.fuel)}`,
    '',
    ...describeInput(explained.input),
    ...describeTensors(explained),
  ]);
  if (explained.outcome !== 'allowed') throw new ResultExit(ExitCode.refused);
}

function describeSignature({ verified, signer }: PolicyExplanation): string {
  const kid = signer === null ? '(no kid)' : visibleName(signer);
  return verified
    ? `verified, signed by ${kid}`
    : `UNVERIFIED: neither --keys nor --trust were given, so anybody could have written this. It says to be signed by ${kid}`;
}

function describeFuel(fuel: number | null): string {
  return fuel === null ? 'no fuel used' : `${groupDigits(fuel)} units of fuel used`;
}

function groupDigits(fuel: number | null): string {
  return fuel === null ? '' : fuel.toLocaleString('en-US');
}

function describeInput(input: ExplainedInput): string[] {
  const { action, time, host, runtime, env, claims, license, model } = withoutPrototype(input);
  const rows: [string, string][] = [
    ['action', action],
    ['time', time.rfc3339],
    ['host', `${host.platform} ${host.arch} ${visibleName(host.hostname)}`],
    ['runtime', `${runtime.name} ${runtime.version}`],
    ['env', describeNames(env)],
    ['claims', describeNames(claims)],
    ...(license === undefined
      ? []
      : [['license', `${visibleName(license.id)}, claims ${describeNames(license.claims)}`] as [string, string]]),
    ['model', `${count(model.tensors, 'tensor')}; metadata ${describeNames(Object.keys(model.metadata))}`],
  ];
  return rows.map(([name, value]) => `input.${name.padEnd(8)} ${value}`);
}

function describeNames(shown: object): string {
  if (!Array.isArray(shown)) return visible(JSON.stringify(shown));
  return shown.length === 0 ? '(none)' : (shown as string[]).map(visibleName).join(', ');
}

function describeTensors({ tensors }: PolicyExplanation): string[] {
  if (tensors === null) return [];
  const rows = tensors.map(({ name, outcome, fuel, reason }) => [
    visibleName(name),
    outcome,
    groupDigits(fuel),
    visible(reason),
  ]);
  return [
    '',
    ...formatTable(
      [{ title: 'TENSOR' }, { title: 'OUTCOME' }, { title: 'FUEL', align: 'right' }, { title: 'REASON' }],
      rows,
    ),
  ];
}

type TestFlags = OutputFlags & Flags<'policyFuel'>;

function addTestCommand(policy: Command): void {
  const command = policy
    .command('test')
    .summary('hold a policy against a list of cases')
    .description(
      'Asks a policy what it decides in each of a list of cases, and compares with what is expected. What a case leaves out is ' +
        'the same on every machine: a fixed time (2026-01-01T00:00:00Z), linux x64, no claims, no variables, one tensor.',
    )
    .argument('<policy>', 'Rego text')
    .argument('<cases>', 'JSON array of cases');
  addFlags(command, { policyFuel: true });
  addOutputFlags(command)
    .addHelpText(
      'after',
      `
Cases:
  [{ "name": "acme, in time",
     "input": { "claims": { "customer": "acme" },
                "time": { "rfc3339": "2026-05-01T00:00:00Z" } },
     "expect": "allow",
     "tensors": [{ "name": "lm_head.weight", "expect": "deny" }] }]

  expect: allow, deny or error (the policy fails). input: any of action, time,
  host, runtime, env, claims, license, model, as the policy sees them. tensors
  may have a dtype and a shape.

Examples:
  cryptotensors policy test license.rego cases.json
  cryptotensors policy test license.rego cases.json --json | jq '.results[] | select(.passed | not)'

Exits with 1 if the policy decides anything otherwise than expected.
${EXIT_CODE_HELP}`,
    )
    .action(test);
}

async function test(policyPath: string, casesPath: string, flags: TestFlags): Promise<void> {
  const output = new Output(flags);
  const policy = readPolicy(policyPath);
  const cases = parseCases(readText(casesPath), visibleName(casesPath));
  const results = await interruptible((signal) => runCases(policy, cases, { fuel: flags.policyFuel, signal }));
  const failed = results.filter(({ passed }) => !passed).length;
  output.result({ policy: policyPath, cases: cases.length, checks: results.length, failed, results }, [
    ...formatTable(
      [
        { title: '' },
        { title: 'CASE' },
        { title: 'ASKED' },
        { title: 'EXPECTED' },
        { title: 'FOUND' },
        { title: 'FUEL', align: 'right' },
        { title: 'REASON' },
      ],
      results.map(describeResult),
    ),
    '',
    failed === 0 ? `all ${results.length} as expected` : `${failed} of ${results.length} NOT as expected`,
  ]);
  if (failed > 0) throw new ResultExit(ExitCode.failed);
}

function describeResult({ name, tensor, expected, found, fuel, passed, reason }: CaseResult): string[] {
  const asked = tensor === null ? 'allow' : `tensor ${visibleName(tensor)}`;
  return [passed ? 'ok' : 'FAIL', visible(name), asked, expected, found, groupDigits(fuel), visible(reason)];
}
