import { lazily } from '#dist/lazy.js';
import { expect, test } from 'vitest';
import { refusal } from '../support/errors.js';

test.each(['EMFILE', 'ENFILE'])(
  'a module that cannot be read for want of descriptors (%s) is told as such',
  async (code) => {
    const load = () => Promise.reject(Object.assign(new Error(`${code}: too many open files`), { code }));
    const error = await refusal('OutOfDescriptors', () => lazily(load));
    expect(error.systemCode).toBe(code);
  },
);

test('any other failure stays what it is, and a module that loads is given', async () => {
  await expect(lazily(() => Promise.reject(new TypeError('broken')))).rejects.toThrow(TypeError);
  expect(await lazily(() => Promise.resolve(7))).toBe(7);
});
