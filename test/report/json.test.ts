/** Whatever is public and plain data survives JSON: what `JSON.parse` gives back is what was there. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as library from 'cryptotensors';
import { expect, test } from 'vitest';
import { issueLicense, makeFixture, tensors } from '../tables/entry-points.js';
import { temporaryFolder } from '../support/temporary.js';

const fixture = makeFixture(temporaryFolder());
await issueLicense(fixture);
const { folder, plain, model, license, keys, customer } = fixture;
const trust = library.publicJwks(keys);
const policy = {
  local: 'package model\nimport rego.v1\nallow if input.claims.n < 10\nallow_tensor if input.time.now_ns > 0',
};

const [source, sealed] = [join(folder, 'source'), join(folder, 'sealed')];
mkdirSync(source);
library.saveFileSync(tensors(), join(source, 'model.safetensors'));
writeFileSync(join(source, 'notes.txt'), 'notes');
const governed = join(folder, 'governed.safetensors');
library.saveFileSync(tensors(), governed, { keys, policy, metadata: { a: 'b' } });
const rewrapped = join(folder, 'rewrapped.safetensors');
library.saveFileSync(tensors(), rewrapped, { keys });
const detached = join(folder, 'governed.header');
await library.detachHeader(model, detached);

const RESULTS: Record<string, () => unknown> = {
  'inspectFile of a plain file': () => library.inspectFile(plain),
  'inspectFile of an encrypted file': () => library.inspectFile(governed),
  'inspectFileSync': () => library.inspectFileSync(governed), // prettier-ignore
  'inspectFile with a detached header': () => library.inspectFile(model, { header: detached }),
  'inspectFile of a licence': () => library.inspectFile(license),
  'verifyFile': () => library.verifyFile(model, { keys }), // prettier-ignore
  'verifyFileSync': () => library.verifyFileSync(model, { keys }), // prettier-ignore
  'verifyFile of a whole model': () => library.verifyFile(sealed, { keys }),
  'explainPolicy': () => library.explainPolicy(governed, { keys, claims: { n: 1 }, tensors: true, showValues: true }), // prettier-ignore
  'explainPolicySync, which denies': () => library.explainPolicySync(governed, { keys, claims: { n: 11 } }),
  'explainPolicy of a licence': () => library.explainPolicy(model, { keys, license: { id: 'x', claims: {}, issued_ns: 1n, expires_ns: 2n, not_before_ns: 0n } }), // prettier-ignore
  'inspectLicense': () => library.inspectLicense(license), // prettier-ignore
  'verifyLicense': () => library.verifyLicense(license, { trust, keys: customer }), // prettier-ignore
  'engineInfo': () => library.engineInfo(), // prettier-ignore
  'listKeyProviders': () => library.listKeyProviders(), // prettier-ignore
  'encryptModel': () => library.encryptModel(source, sealed, { keys }), // prettier-ignore
  'encryptModel, dry run': () => library.encryptModel(source, sealed, { keys, dryRun: true }),
  'SafeFile.identity': async () => (await library.safeOpen(sealed, { keys })).identity(),
  'SafeFile.info': async () => {
    const file = await library.safeOpen(model, { keys });
    return [...file.keys()].map((name) => file.info(name));
  },
  'SafeFile.metadata, pins and signers': async () => {
    const file = await library.safeOpen(governed, { keys, claims: { n: 1 } });
    return [file.metadata(), file.pins(), file.signers(), file.files()];
  },
  'rewrapFile': () => library.rewrapFile(rewrapped, { keys, to: { keys } }), // prettier-ignore
  'recoverFile': () => library.recoverFile(governed), // prettier-ignore
  'audit events': async () => {
    const events: library.AuditEvent[] = [];
    const onEvent = (event: library.AuditEvent): void => void events.push(event);
    const file = await library.safeOpen(model, { trust, keys: customer, license: readFileSync(license), onEvent });
    await file.getTensors();
    expect(events.length).toBeGreaterThan(2);
    return events;
  },
  'a key ring': () => {
    const { masterKeys, signingKeys, recipientKeys } = library.loadKeysSync(keys);
    return { masterKeys, signingKeys, recipientKeys };
  },
};

/** `encryptModel` writes the folder that others read: as they are listed, but that one first. */
const names = Object.keys(RESULTS).sort((a, b) => Number(b === 'encryptModel') - Number(a === 'encryptModel'));

test.each(names)('%s', async (name) => {
  const result = await RESULTS[name]!();
  expect(result).toBeTruthy();
  const text = JSON.stringify(result);
  // Nothing is lost but members that are undefined, and nothing turns into something else, such as a Map into {}.
  expect(JSON.parse(text)).toEqual(withoutUndefined(result));
});

/** The same in plain objects and arrays; values of any other kind stay, and so would differ. */
function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== 'object' || value === null || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) return value; // prettier-ignore
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined).map(([name, member]) => [name, withoutUndefined(member)])); // prettier-ignore
}
