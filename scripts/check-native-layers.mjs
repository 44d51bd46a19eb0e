// Checks the include order of the C++ (ARCHITECTURE.md): a file may include only what stands before it in the lists below.
//
// Files are listed by family: the first word of their name. The members of a family may include one another.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Families on one line do not include one another. */
const order = {
  core: [
    ['error', 'bytes'],
    ['secret', 'box'],
    ['file', 'base64', 'digest', 'signature', 'agreement'],
    ['aead'],
    ['self', 'chunks', 'deks'],
    ['batches'],
    ['table'],
    ['shares'],
    ['worker', 'read'],
    ['pool'],
    ['open', 'seal'],
  ],
  binding: [
    ['napi'],
    ['marshal'],
    ['held'],
    ['handles'],
    ['pending'],
    ['environment', 'library', 'exports'],
    ['agreement', 'crypto', 'deks', 'files', 'jobs', 'memory', 'secrets', 'shares', 'tables'],
    ['addon'],
  ],
};
/** Headers from elsewhere, and who may include them. */
const foreign = {
  'napi.h': (path) => path === 'native/binding/napi_setup.h',
  'node_api.h': () => false,
  'cryptotensors_aead.h': (path) => path.startsWith('native/core/'),
};

const problems = Object.keys(order).flatMap((folder) =>
  readdirSync(join(root, 'native', folder))
    .filter((name) => /\.(h|cc)$/.test(name))
    .flatMap((name) => checkFile(folder, name)),
);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);

function checkFile(folder, name) {
  const path = `native/${folder}/${name}`;
  if (rank(folder, name) < 0)
    return [`${path}:1: has no place in the include order: see scripts/check-native-layers.mjs`];
  return readFileSync(join(root, path), 'utf8')
    .split('\n')
    .flatMap((line, i) => {
      const included = /^\s*#\s*include\s*[<"]([^>"]+)[>"]/.exec(line)?.[1];
      const problem = included === undefined ? null : checkInclude(folder, name, path, included);
      return problem === null ? [] : [`${path}:${i + 1}: ${problem}`];
    });
}

/** What is wrong with an include, or null. */
function checkInclude(folder, name, path, included) {
  const allowed = foreign[basename(included)];
  if (allowed !== undefined) return allowed(path) ? null : `must not include ${included}`;
  const [, up, target] = /^(?:\.\.\/(\w+)\/)?(\w+\.h)$/.exec(included) ?? [];
  if (target === undefined) return null;
  const targetFolder = up ?? folder;
  const targetRank = rank(targetFolder, target);
  if (targetRank === undefined || targetRank < 0)
    return isSystemHeader(included) ? null : `includes ${included}, which is in no list`;
  if (targetFolder !== folder) {
    return folder === 'binding' && targetFolder === 'core' ? null : `${folder} must not include ${targetFolder}`;
  }
  if (family(target) === family(name) || targetRank < rank(folder, name)) return null;
  return `must not include ${included}, which comes later in the include order`;
}

function rank(folder, name) {
  return order[folder]?.findIndex((families) => families.includes(family(name)));
}

function family(name) {
  return name.replace(/\..*$/, '').split('_')[0];
}

/** A header that is not one of this tree's. */
function isSystemHeader(included) {
  return !Object.keys(order).some((folder) => readdirSync(join(root, 'native', folder)).includes(basename(included)));
}
