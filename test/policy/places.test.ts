import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/* The engine is part of the code, and goes where that goes. The file beside it only spares decompressing. */

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-places-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SCRIPT = `
  const input = buildPolicyInput({ action: 'open', claims: {}, env: ['HOME'], model: { metadata: {}, tensors: 1, signer: null }, now: () => 1n });
  const allow = 'package model\\nallow if input.model.tensors == 1';
  const verdict = await runAsync(judgePolicy(allow, { input }));
  const { platform, hostname } = input.host;
  const facts = { outcome: verdict.outcome, fuel: verdict.fuel, platform, hostname, runtime: input.runtime.name, env: Object.keys(input.env) };
`;

interface Facts {
  outcome: string;
  fuel: number;
  platform: string;
  hostname: string;
  runtime: string;
  env: string[];
}

/** What a fresh process of Node.js prints. */
function run(source: string, flags: string[] = []): { facts: Facts; decompressed: boolean; warned: string } {
  const watched = `
    import zlib from 'node:zlib';
    const { inflateRawSync } = zlib;
    let decompressed = false;
    zlib.inflateRawSync = (...words) => ((decompressed = true), inflateRawSync(...words));
    ${source}
    console.log(JSON.stringify({ facts, decompressed }));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', watched], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  return { ...(JSON.parse(stdout) as { facts: Facts; decompressed: boolean }), warned: stderr };
}

function inFolder(place: string): string {
  const base = pathToFileURL(`${place}/`).href;
  return `
    const { judgePolicy } = await import('${base}policy/evaluate.js');
    const { buildPolicyInput } = await import('${base}policy/input.js');
    const { runAsync } = await import('${base}twin.js');
    ${SCRIPT}`;
}

describe('the policy engine', () => {
  let fuel: number;
  beforeAll(() => {
    const { facts, decompressed } = run(inFolder(dist));
    expect(facts).toMatchObject({ outcome: 'allowed', platform: process.platform, runtime: 'node', env: ['HOME'] });
    expect(decompressed).toBe(false);
    fuel = facts.fuel;
  });

  test.each([
    ['is not there', rmSync],
    ['is cut off', (file: string) => truncateSync(file, 1_000_000)],
    ['is something else', (file: string) => writeFileSync(file, 'something else')],
  ])('works where the file beside the code %s', (what, spoil) => {
    const copy = join(folder, what.replaceAll(' ', '-'));
    cpSync(dist, copy, { recursive: true, filter: (source) => !source.endsWith('.map') });
    const [file, ...others] = readdirSync(join(copy, 'policy')).filter((name) => name.endsWith('.wasm'));
    expect(others).toEqual([]);
    spoil(join(copy, 'policy', file!));
    expect(run(inFolder(copy))).toMatchObject({ facts: { outcome: 'allowed', fuel }, decompressed: true });
  });

  test("works in a bundle, with another engine's file beside it", async () => {
    const file = await bundle();
    writeFileSync(join(folder, 'policy.wasm'), 'of somebody else');
    const source = `const { judgePolicy, buildPolicyInput, runAsync } = await import('${pathToFileURL(file).href}'); ${SCRIPT}`;
    expect(run(source)).toMatchObject({ facts: { outcome: 'allowed', fuel, runtime: 'node' }, decompressed: true });
  });

  test.each([
    ['no process', 'delete globalThis.process;'],
    ['what bundlers put in its place', 'globalThis.process = { env: {} };'],
  ])('works where a browser has %s, and a warning is one of the console', async (_, preparation) => {
    const file = await bundle();
    const modules = readdirSync(join(dist, 'policy')).filter((name) => name.endsWith('.js'));
    for (const name of modules)
      expect(readFileSync(join(dist, 'policy', name), 'utf8'), name).not.toMatch(/from 'node:/);
    const source = `
      ${preparation}
      const { Buffer } = globalThis;
      delete globalThis.Buffer;
      const { judgePolicy, buildPolicyInput, runAsync, checkPolicy } = await import('${pathToFileURL(file).href}');
      // Node.js's own streams need it.
      globalThis.Buffer = Buffer;
      ${SCRIPT}
      const dear = 'package model\\nallow if count([i | some i in numbers.range(1, 30000)]) == 7';
      await runAsync(checkPolicy(dear, 'the policy'));`;
    const { facts, warned, decompressed } = run(source);
    expect(facts).toEqual({
      outcome: 'allowed',
      fuel: expect.any(Number) as number,
      platform: 'browser',
      hostname: '',
      runtime: 'browser',
      env: [],
    });
    expect(warned).toContain('CryptoTensorsWarning: the policy takes');
    // By the platform's own stream.
    expect(decompressed).toBe(false);
  });
});

/** The policies' modules as one, as for a browser. */
async function bundle(): Promise<string> {
  const entry = join(folder, 'entry.mjs');
  const from = (name: string): string => JSON.stringify(join(dist, name));
  writeFileSync(
    entry,
    `export { judgePolicy, checkPolicy } from ${from('policy/evaluate.js')};
     export { buildPolicyInput } from ${from('policy/input.js')};
     export { runAsync } from ${from('twin.js')};`,
  );
  const build = await rolldown({ input: entry, platform: 'browser' });
  const { output } = await build.generate({ format: 'esm' });
  await build.close();
  expect(output).toHaveLength(1);
  const file = join(folder, 'bundle.mjs');
  writeFileSync(file, output[0].code);
  return file;
}
