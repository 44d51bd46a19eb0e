import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { generateRecipientKeys, openLicenseIssuer, publicJwks, safeOpenSync } from 'cryptotensors';
import type { JwkSet } from 'cryptotensors';
import { expect, test } from 'vitest';
import { headerOf } from '../support/detach.js';
import { temporaryFolder } from '../support/temporary.js';
import { BODY, VENDOR, VENDOR_PUBLIC } from './support.js';

const COUNT = 10_000;
const AT_ONCE = 16;
const CUSTOMERS = Array.from({ length: 20 }, () => generateRecipientKeys());

test('ten thousand licences for one body in one run, which is not touched', async () => {
  const path = join(temporaryFolder(), 'body.ct');
  // The data is a hole as long as it should be: whoever read and checked it would find zeros.
  const header = headerOf(BODY);
  const file = openSync(path, 'w');
  writeSync(file, header);
  ftruncateSync(file, BODY.length);
  closeSync(file);
  const before = { ...statSync(path, { bigint: true }), digest: digestOf(path) };

  const publicKeys = CUSTOMERS.map((keys) => publicJwks(keys));
  using issuer = await openLicenseIssuer(path, { keys: VENDOR });
  const ids = new Set<string>();
  const kept: { license: Uint8Array; customer: JwkSet }[] = [];
  let bytes = 0;
  const started = performance.now();
  const usage = process.cpuUsage();
  let memory = 0;
  for (let i = 0; i < COUNT; i += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, async (_, j) => {
      const customer = (i + j) % CUSTOMERS.length;
      const id = `L-${i + j}`;
      const license = await issuer.issue({ to: publicKeys[customer]!, id, claims: { seat: i + j } });
      ids.add(id);
      bytes += license.length;
      if ((i + j) % 97 === 0) kept.push({ license, customer: CUSTOMERS[customer]! });
    });
    await Promise.all(batch);
    if (i === 1600) memory = process.memoryUsage().rss;
  }
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(usage);
  const grown = process.memoryUsage().rss - memory;
  const each = `${(ms / COUNT).toFixed(2)} ms each, ${((user + system) / 1000 / COUNT).toFixed(2)} ms of CPU time`;
  process.stdout.write(
    `${COUNT} licences of ${Math.round(bytes / COUNT)} bytes: ${each}; memory grew by ${(grown / 2 ** 20).toFixed(0)} MiB\n`,
  );
  expect(ids.size).toBe(COUNT);
  // What 8,400 licences could leave behind if anything kept them: 25 MiB of them alone, and their keys.
  expect(grown).toBeLessThan(128 * 2 ** 20);

  const after = { ...statSync(path, { bigint: true }), digest: digestOf(path) };
  for (const name of ['ino', 'size', 'mtimeNs', 'ctimeNs', 'digest'] as const) expect(after[name]).toBe(before[name]);
  for (const { license, customer } of kept) {
    const file = safeOpenSync(BODY, { license, keys: customer, trust: VENDOR_PUBLIC });
    expect(file.getTensorSync('mask').bytes).toEqual(Uint8Array.of(1, 0, 1));
    file[Symbol.dispose]();
  }
  expect(kept.length).toBeGreaterThan(100);
}, 300_000);

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
