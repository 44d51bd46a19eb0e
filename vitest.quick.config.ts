import { defineConfig } from 'vitest/config';
import all from './vitest.config.js';

/** `npm run test:quick`: of each room the tests that hold its promises, and of the vectors one in ten, within a minute. */
const QUICK = [
  'format/{header,json,records,integrity,layout,canonical,crypto-metadata}',
  'conformance/ring',
  'engine/{records,files,handles}',
  'files/{target,read-bounded}',
  'keys/{keyring,select,wrap,sign}',
  'policy/{evaluate,claims}',
  'model/audit',
  'open/{trust,pin,shards}',
  'read/{safe-file,parts}',
  'report/verify',
  'writer/{files,select}',
  'rewrap/rewrap-file',
  'license/issue',
  'cli/{text,progress,inspect}',
];

export default defineConfig({
  ...all,
  test: {
    ...all.test,
    include: QUICK.map((file) => `test/${file}.test.ts`),
    env: { CRYPTOTENSORS_TEST_ONE_VECTOR_IN: '10' },
  },
});
