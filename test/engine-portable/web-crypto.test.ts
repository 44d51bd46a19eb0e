import { createPortableEngine } from '#dist/engine/portable/engine.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { webCrypto } from '#dist/engine/portable/web-crypto.js';
import { describe, expect, it } from 'vitest';
import { ALGORITHMS, PLAINLY, openTable, pattern, seal, specOf, wholeCopies } from './sealed-file.js';
import type { PlainTensor } from './sealed-file.js';

const node = createNodeEngine();
const web = createPortableEngine(webCrypto, null);
const tensors: PlainTensor[] = [
  { bytes: pattern(700_000), mode: 'encrypt' },
  { bytes: new Uint8Array(0), mode: 'encrypt' },
];
const whole = Buffer.concat(tensors.map(({ bytes }) => bytes));

describe.each(ALGORITHMS)('the engine on Web Crypto: %s', (algorithm) => {
  const file = seal(node, tensors, { algorithm, chunkSize: 300_000 });

  it('reads what the engine on node:crypto sealed', async () => {
    const made = web.createTable(specOf(file));
    if ('fault' in made) expect.fail(made.fault.problem);
    expect(await made.table.unwrapAsync(web.importSecret(file.master))).toBe(-1);
    const destination = new Uint8Array(whole.length);
    const request = { table: made.table, source: web.openBytes(file.stored), copies: wholeCopies(tensors), ...PLAINLY };
    await web.read({ ...request, destination });
    expect(Buffer.compare(destination, whole)).toBe(0);
  });

  it.skipIf(algorithm === 'chacha20poly1305')('says in blocking forms that it cannot block, and wipes', () => {
    const master = web.importSecret(file.master);
    const made = web.createTable(specOf(file));
    if ('fault' in made) expect.fail(made.fault.problem);
    const { table } = made;
    const unavailable = expect.objectContaining({ code: 'NativeUnavailable' }) as Error;
    expect(() => table.unwrap(master)).toThrow(unavailable);
    const deks = openTable(node, file).exportDeks();
    table.installDeks(web.importSecret(node.exportSecret(deks)));
    const destination = new Uint8Array(whole.length).fill(0xaa);
    const request = { table, source: web.openBytes(file.stored), copies: wholeCopies(tensors), ...PLAINLY };
    expect(() => web.readSync({ ...request, destination })).toThrow(unavailable);
    expect(destination.every((byte) => byte === 0 || byte === 0xaa)).toBe(true);
  });
});
