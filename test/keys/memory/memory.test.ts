import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  exportLicenseKey,
  generateKeys,
  generateRecipientKeys,
  issueLicense,
  publicJwks,
  saveFileSync,
} from 'cryptotensors';
import type { AgreementCurve, JwkSet } from 'cryptotensors';
import { describe, expect, test } from 'vitest';
import { smallTensors } from '../../support/model.js';
import { temporaryFolder } from '../../support/temporary.js';
import { MASK } from './scan.mjs';
import type { Hit } from './scan.mjs';

const folder = temporaryFolder();
const child = fileURLToPath(new URL('child.mjs', import.meta.url));
const keys = generateKeys();
// A folder of its own, for the folder provider.
mkdirSync(join(folder, 'keys'));
const keyFile = join(folder, 'keys', 'keys.json');
writeFileSync(keyFile, JSON.stringify(keys, null, 2));
const model = join(folder, 'model.safetensors');
saveFileSync(smallTensors(), model, { keys });

/** Halves of secrets in each form in which they could lie about: half a key is a leak as well. @param secrets base64, by name */
function needlesOf(secrets: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(secrets).flatMap(([name, base64]) => {
      const bytes = Buffer.from(base64, 'base64');
      const forms = {
        raw: [bytes.subarray(0, 16), bytes.subarray(16)],
        base64: [Buffer.from(base64.slice(0, 21)), Buffer.from(base64.slice(21, 42))],
        base64url: [bytes.toString('base64url').slice(0, 21), bytes.toString('base64url').slice(21, 42)].map((text) =>
          Buffer.from(text),
        ),
        hex: [bytes.toString('hex').slice(0, 32), bytes.toString('hex').slice(32)].map((text) => Buffer.from(text)),
      };
      return Object.entries(forms).flatMap(([form, halves]) =>
        halves.map((half, i) => [`${name} ${form} ${i}`, Buffer.from(half.map((byte) => byte ^ MASK)).toString('hex')]),
      );
    }),
  );
}

/** What a child is given. `target` is where it writes, or the licence that it opens `model` by. */
interface Work {
  keys: string;
  model: string;
  target: string;
  needles: Record<string, string>;
  trust?: string;
}

/** What the child found after each of its steps. */
async function run(how: string, engine = '', work?: Work): Promise<Map<string, Hit[]>> {
  const target = join(folder, `${how}-${engine}.safetensors`);
  const own = {
    keys: keyFile,
    model,
    target,
    needles: needlesOf({ master: keys.keys[0]!.k!, seed: keys.keys[1]!.d! }),
  };
  const given: Work = work ?? own;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [child, how, given.keys, given.model, given.target, JSON.stringify(given.needles), given.trust ?? ''],
    { env: { ...process.env, ...(engine === '' ? {} : { CRYPTOTENSORS_ENGINE: engine }) }, maxBuffer: 2 ** 26 },
  );
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { step: string; hits: Hit[] });
  return new Map(lines.map(({ step, hits }) => [step, hits]));
}

/** Whether the system lets a process lock as much as a few keys need. */
function canLock(): boolean {
  const limit = /^Max locked memory +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return limit === 'unlimited' || Number(limit) >= 1024 * 1024;
}

const describeHits = (hits: Hit[]): string[] =>
  hits.map(({ needle, region, flags }) => `${needle} in ${region} (${flags.join(' ')})`);

describe.runIf(process.platform === 'linux')("in the process's own memory", () => {
  test('a key that became a JavaScript string is found: the search can fail', async () => {
    const steps = await run('string');
    expect(steps.get('start')).toEqual([]);
    expect(describeHits(steps.get('loaded')!).join('\n')).toMatch(/master base64 0 in/);
  });

  test.each([
    ['async', 'openssl'],
    ['async', 'ring'],
    ['sync', 'openssl'],
  ])('keys are in locked memory that no core dump has, and afterwards nowhere (%s, %s)', async (how, engine) => {
    const steps = await run(how, engine);
    expect(steps.get('start')).toEqual([]);
    for (const step of ['loaded', 'used']) {
      const hits = steps.get(step)!;
      expect(new Set(hits.map(({ needle }) => needle)), step).toEqual(
        new Set(['master raw 0', 'master raw 1', 'seed raw 0', 'seed raw 1']),
      );
      expect(describeHits(elsewhere(hits)), step).toEqual([]);
    }
    expect(describeHits(steps.get('disposed')!)).toEqual([]);
  });

  test.each([
    ['X25519', 'async license'],
    ['P-256', 'async license'],
    ['X25519', 'sync license'],
    ['P-256', 'sync license'],
  ] as [AgreementCurve, string][])(
    "a customer's %s key and what it opens a licence to are in locked memory only, and afterwards nowhere (%s)",
    async (curve, how) => {
      const { work, names } = await licensed(curve, how);
      const steps = await run(how, '', work);
      expect(steps.get('start')).toEqual([]);
      for (const step of ['loaded', 'used']) {
        const hits = steps.get(step)!;
        const found = new Set(hits.map(({ needle }) => needle));
        for (const name of names) expect(found, step).toContain(name);
        expect(describeHits(elsewhere(hits)), step).toEqual([]);
      }
      expect(describeHits(steps.get('disposed')!)).toEqual([]);
    },
  );
});

/** Hits in memory that is not locked, or that a core dump would have. */
function elsewhere(hits: Hit[]): Hit[] {
  const wanted = canLock() ? ['dd', 'lo'] : ['dd'];
  return hits.filter(({ flags }) => !wanted.every((flag) => flags.includes(flag)));
}

/** A body and a licence for it, and what must not be found of the customer's key and of the licence's own. */
async function licensed(curve: AgreementCurve, how: string): Promise<{ work: Work; names: string[] }> {
  const customer = generateRecipientKeys({ curve });
  const vendor = publicJwks(keys);
  const write = (name: string, content: Uint8Array | JwkSet): string => {
    const path = join(folder, `${curve}-${how}-${name}`);
    writeFileSync(path, content instanceof Uint8Array ? content : JSON.stringify(content));
    return path;
  };
  const license = await issueLicense(model, { keys, to: publicJwks(customer) });
  const { keys: exported } = await exportLicenseKey(license, { keys: customer, trust: vendor });
  const secrets = { customer: customer.keys[0]!.d!, license: exported[0]!.k! };
  const work = {
    keys: write('customer.json', customer),
    model,
    target: write('license', license),
    trust: write('vendor.json', vendor),
    needles: needlesOf(secrets),
  };
  return { work, names: ['customer raw 0', 'customer raw 1'] };
}
