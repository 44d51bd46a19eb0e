// @ts-check
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/**
 * The import order of the source tree (ARCHITECTURE.md): a folder may import only from the folders before it.
 * `format` and `policy` import nothing from Node.js, so that they also work in a browser.
 */
const order = [
  ['format'], ['engine'], ['files'], ['keys', 'policy'], ['model'], ['recovery'], ['open'], ['read'], ['report'],
  ['writer'], ['rewrap'], ['license'],
]; // prettier-ignore
const layers = order.flatMap((folders, rank) =>
  folders.map((folder) => ({
    folder,
    mayImport: order.slice(0, rank).flat(),
    pure: ['format', 'policy'].includes(folder),
  })),
);
const folders = [...layers.map((layer) => layer.folder), 'cli'];

const layerRules = layers.map(({ folder, mayImport, pure }) => ({
  files: [`src/${folder}/**/*.ts`],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^(\\.\\./)+(${folders.filter((f) => f !== folder && !mayImport.includes(f)).join('|')})/`,
            message: `${folder}/ may import only from: errors${mayImport.map((f) => `, ${f}`).join('')} (see ARCHITECTURE.md).`,
          },
          { regex: '^(\\.\\./)+index\\.js$', message: 'Only cli/ imports the public index.' },
          ...(pure ? [{ regex: '^node:', message: `${folder}/ works in browsers too: no Node.js imports.` }] : []),
        ],
      },
    ],
  },
}));

/** Values of another realm (a test runner's, a vm context's) are none of this one's: `node:util/types` tells what they are. */
const BUILT_INS =
  'Array|ArrayBuffer|SharedArrayBuffer|DataView|.*Array|Map|Set|WeakMap|WeakSet|Date|RegExp|Promise|Function|Object|.*Error|URL|AbortSignal|Blob';
const OWN_ERRORS = 'CryptoTensorsError|AbortError|CliError|CommanderError|EngineFault';
const realmRules = {
  'no-restricted-syntax': [
    'error',
    {
      selector: `BinaryExpression[operator='instanceof'][right.name=/^(?!(${OWN_ERRORS})$)(${BUILT_INS})$/]`,
      message: 'A value of another realm is no instance of this one: ask node:util/types, or what the value can do.',
    },
    {
      selector: "BinaryExpression[operator='in'][left.type='Literal']",
      message: 'This finds what is in Object.prototype too: hasOwn or memberOf of options.ts.',
    },
    {
      selector: 'VariableDeclaration[kind=/using/]',
      message: 'Where Symbol.dispose is missing (vm contexts of Node.js 20) this throws: write try and finally.',
    },
  ],
};

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'lib/',
      'build/',
      'native/rust/*/target/',
      'node_modules/',
      'coverage/',
      '.venv/',
      'test/.cache/',
    ],
  },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.cts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { project: ['./tsconfig.json', './test/tsconfig.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/prefer-literal-enum-member': 'off',
      // Indexing typed arrays and parsed lists right after their bounds were checked reads better with `!`.
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-console': 'error',
    },
  },
  {
    // Each argument takes room on the stack: a list as long as a file has tensors or keys does not fit there.
    files: ['src/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector:
            ':matches(NewExpression, CallExpression[callee.property.name=/^(push|unshift|splice|concat|of|max|min|fromCharCode|fromCodePoint|assign)$/]) > SpreadElement',
          message: 'Lists can be of any length: loop, or pass the list itself.',
        },
      ],
    },
  },
  ...layerRules,
  {
    files: ['src/engine/portable/**/*.ts'],
    ignores: ['src/engine/portable/node*.ts'],
    rules: {
      'no-restricted-globals': ['error', 'Buffer', 'process'],
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^node:|/node(-[a-z]+)?\\.js$',
              message: 'Browsers have none of it: only files called node… import it.',
            },
          ],
        },
      ],
    },
  },
  // format/ sees only values that it or the room above it made; so does engine/portable, which runs where there is no node:util.
  { files: ['src/**/*.ts'], ignores: ['src/format/**', 'src/engine/portable/**'], rules: realmRules },
  { files: ['src/cli/**/*.ts'], rules: { 'no-console': 'off' } },
  {
    // What is done to files is decided in one room, and engines own their descriptors.
    files: ['src/**/*.ts'],
    ignores: ['src/files/**', 'src/engine/**', 'src/recovery/owner.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: ['node:fs', 'node:fs/promises'].map((name) => ({ name, message: 'Files are the work of src/files.' })),
        },
      ],
    },
  },
  { files: ['**/*.cts'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
  { files: ['**/*.cjs'], languageOptions: { globals: { console: 'readonly', __dirname: 'readonly' } } },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        performance: 'readonly',
        AbortController: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
      },
    },
  },
);
