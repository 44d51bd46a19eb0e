import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { generateKeys, rewrapFile, saveFile, saveFileSync } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const TENSORS = { t: { dtype: 'U8', shape: [1], data: Uint8Array.of(1) } } as const;
const file = join(folder, 'f.st');
writeFileSync(file, 'kept');
mkdirSync(join(folder, 'd'));
if (process.platform !== 'win32') symlinkSync('new.st/', join(folder, 'link.st'));
const names = readdirSync(folder);

describe('a path that treats a file as a folder is refused, as the system does', () => {
  test.each([
    'new.st/',
    'new.st/.',
    'new.st/../x.st',
    'f.st/',
    'f.st/.',
    'f.st/../x.st',
    'f.st/./x.st',
    'd/../f.st/../x.st',
    'd/',
  ])('%s', async (path) => {
    // Not join, which would take such parts away.
    const given = `${folder}/${path}`;
    const error = await refusal('FileError', () => saveFile(TENSORS, given));
    expect(['ENOTDIR', 'ENOENT', 'EISDIR']).toContain(error.systemCode);
    await refusal('FileError', () => saveFileSync(TENSORS, given));
    await refusal('FileError', () => rewrapFile(given, { to: { keys: generateKeys() } }));
    expect(readdirSync(folder)).toEqual(names);
    expect(readFileSync(file, 'utf8')).toBe('kept');
  });

  test.skipIf(process.platform === 'win32')('also where a link says so', async () => {
    await refusal('FileError', () => saveFile(TENSORS, join(folder, 'link.st')));
    expect(readdirSync(folder)).toEqual(names);
  });

  test('behind a folder all of them mean what they say', async () => {
    await saveFile(TENSORS, `${folder}/d/.././/d/./y.st`, { durable: false });
    expect(readdirSync(join(folder, 'd'))).toEqual(['y.st']);
  });
});
