import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cli, encryptedWorkspace, readJwks } from './harness.js';

/** A secret in the spellings in which it could leak. */
function spellings(base64: string): string[] {
  const bytes = Buffer.from(base64, 'base64');
  return [base64.replace(/=+$/, ''), bytes.toString('base64url'), bytes.toString('hex')];
}

it('no secret in any output, nor in any file but the key file', async () => {
  const cwd = await encryptedWorkspace();
  await cli(['keygen', '-o', 'other.json', '--public', 'other-public.json'], { cwd });
  const secrets = ['keys.json', 'other.json'].flatMap((file) =>
    readJwks(join(cwd, file)).keys.flatMap(({ k, d }) => [k, d].filter((secret) => secret !== undefined)),
  );
  expect(secrets).toHaveLength(4);
  writeFileSync(join(cwd, 'torn.json'), readFileSync(join(cwd, 'keys.json'), 'utf8').slice(0, -5));

  const env = { CRYPTOTENSORS_DEBUG: '1', CRYPTOTENSOR_KEYS: readFileSync(join(cwd, 'torn.json'), 'utf8') };
  const commands = [
    ['keygen', '-o', 'third.json'],
    ['keygen', '-o', 'keys.json'],
    ['encrypt', 'plain.safetensors', 'a', '-k', 'keys.json'],
    ['encrypt', 'plain.safetensors', 'b', '-k', 'torn.json'],
    ['verify', 'model.ct.safetensors', '-k', 'keys.json'],
    ['verify', 'model.ct.safetensors', '-k', 'other.json'],
    ['verify', 'model.ct.safetensors', '-k', 'torn.json'],
    ['verify', 'model.ct.safetensors', '-k', readFileSync(join(cwd, 'keys.json'), 'utf8')],
    ['verify', 'model.ct.safetensors'],
    ['decrypt', 'model.ct.safetensors', 'c', '-k', 'keys.json'],
    ['inspect', 'model.ct.safetensors'],
  ];
  let outputs = '';
  for (const command of commands) {
    for (const json of [[], ['--json']]) {
      const { stdout, stderr } = await cli([...command, ...json], { cwd, env });
      outputs += stdout + stderr;
    }
  }
  const files = readdirSync(cwd).filter(
    (name) => !['keys.json', 'other.json', 'torn.json', 'third.json'].includes(name),
  );
  for (const name of files) outputs += readFileSync(join(cwd, name), 'latin1');
  for (const secret of secrets.flatMap(spellings)) expect(outputs.includes(secret)).toBe(false);
  expect(outputs).toContain('[InvalidKey]');
});
