import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encryptFile, inspectFile, save, saveFile, saveFileSync, saveSync } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

/* A policy that could never open the file is refused when it is written, not at the customer's. */
const folder = temporaryFolder();
const plain = join(folder, 'plain.safetensors');
saveFileSync(smallTensors(), plain);
const target = join(folder, 'target.safetensors');

describe.each([
  ['a syntax error', 'package model\nallow = ', 'line 2, column 9 ("allow ="): expecting expression'],
  ['Rego v0', 'package model\nallow { true }', '`if` keyword is required'],
  ['no rule `allow`', 'package model\nallow_tensor := true', 'does not define data.model.allow'],
  ['another package', 'package authz\nallow := true', 'does not define data.model.allow'],
])('a local policy with %s', (_, local, reason) => {
  test('is refused by every writer, and nothing is written', async () => {
    const options = { keys: KEYS, policy: { local } };
    for (const write of [
      () => encryptFile(plain, target, options),
      () => saveFile(smallTensors(), target, options),
      () => saveFileSync(smallTensors(), target, options),
      () => save(smallTensors(), options),
      () => saveSync(smallTensors(), options),
    ]) {
      const { message } = await refusal('PolicyError', write);
      expect(message).toContain('options.policy.local would never open the file: ');
      expect(message).toContain(reason);
    }
    expect(existsSync(target)).toBe(false);
  });
});

test('a policy that denies is written: it is not asked', async () => {
  const local = 'package model\nimport rego.v1\nallow := false\nallow_tensor if 1/0 == 1';
  await encryptFile(plain, target, { keys: KEYS, policy: { local } });
  expect((await inspectFile(target)).encryption?.policy.local).toBe(local);
});

test('the remote policy is for another engine, and carried as it is', async () => {
  const remote = 'anything at all {';
  await encryptFile(plain, target, { keys: KEYS, policy: { remote } });
  expect((await inspectFile(target)).encryption?.policy.remote).toBe(remote);
});
