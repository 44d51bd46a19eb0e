// node scripts/check-release.mjs TAG: is TAG the version of package.json, and does CHANGELOG.md have a dated entry for it?
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const read = (file) => readFileSync(join(root, file), 'utf8');

const [, , tag] = process.argv;
const { version } = JSON.parse(read('package.json'));
const entry = read('CHANGELOG.md')
  .split('\n')
  .find((line) => line.startsWith(`## [${version}]`));

const faults = [];
if (tag !== `v${version}`) faults.push(`the tag is ${tag}, the version ${version}`);
if (entry === undefined) faults.push(`CHANGELOG.md has no entry for ${version}`);
else if (!/ - \d{4}-\d{2}-\d{2}$/.test(entry)) faults.push(`the entry of CHANGELOG.md has no date: ${entry}`);

for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
