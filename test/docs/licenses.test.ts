import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeys, inspectLicense, publicJwks, saveFileSync } from 'cryptotensors';
import { expect, test } from 'vitest';
import { headerJson, issue, makeBody, partsOf } from '../license/support.js';
import { headerOf } from '../support/detach.js';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { runExamples } from './examples.js';

const page = readFileSync(new URL('../../docs/licenses.md', import.meta.url), 'utf8');

test('the examples of docs/licenses.md do what the page says', async () => {
  const folder = temporaryFolder();
  const vendor = generateKeys();
  writeFileSync(join(folder, 'vendor.json'), JSON.stringify(vendor));
  writeFileSync(join(folder, 'vendor-public.json'), JSON.stringify(publicJwks(vendor)));
  saveFileSync(smallTensors(), join(folder, 'model.ct.safetensors'), { keys: vendor });
  const code = [...page.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, text]) => text!);
  expect(code).toHaveLength(5);
  const stdout = await runExamples(code, folder);
  expect(stdout).toBe('acme 6\none true true\n2\n');
});

test('docs/licenses.md lists the members that a licence has', async () => {
  const at = Date.now();
  const { terms, jwe } = partsOf(await issue({ notBefore: new Date(at), expires: new Date(at + 1e6) }));
  for (const name of Object.keys(terms)) expect(page).toContain(`\`${name}\``);
  const header = JSON.parse(Buffer.from(jwe[0]!, 'base64url').toString()) as object;
  for (const name of Object.keys(header)) expect(page).toContain(`\`${name}\``);
});

test('the id of a body is what docs/licenses.md says', async () => {
  const body = makeBody({ tensors: ['encoder.*', 'empty'], integrity: 'blake3' });
  const { __metadata__: metadata, ...tensors } = headerJson(headerOf(body));
  const names = Object.keys(tensors);
  const records = JSON.parse(metadata.__encryption__!) as Record<string, { base_iv: string; tags: string }>;
  const integrity = JSON.parse(metadata.__integrity__!) as {
    alg: string;
    chunk_size: number;
    tensors: Record<string, string>;
  };
  const lines = [
    'cryptotensors body 1',
    'aes256gcm 2 64',
    JSON.stringify(tensors),
    ...names.flatMap((name, i) => (name in records ? [`${i} ${records[name]!.base_iv} ${records[name]!.tags}`] : [])),
    `${integrity.alg} ${integrity.chunk_size}`,
    ...names.flatMap((name, i) => (name in integrity.tensors ? [`${i} ${integrity.tensors[name]!}`] : [])),
  ];
  const id = createHash('sha256')
    .update(lines.map((line) => `${line}\n`).join(''))
    .digest('hex');
  expect((await inspectLicense(await issue({}, body))).body).toBe(id);
});
