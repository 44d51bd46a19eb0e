import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = temporaryFolder();

/** What the check says of a tag, in a project with this version and changelog. */
function check(tag: string, version: string, changelog: string): { status: number | null; said: string } {
  mkdirSync(join(folder, 'scripts'), { recursive: true });
  copyFileSync(join(root, 'scripts/check-release.mjs'), join(folder, 'scripts/check-release.mjs'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ version }));
  writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
  const { status, stderr } = spawnSync(process.execPath, ['scripts/check-release.mjs', tag], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, said: stderr };
}

it('is a tag of the version, with a dated entry in the changelog', () => {
  const dated = '# Changelog\n\n## [1.2.3] - 2026-11-28\n\n## [1.2.2] - 2026-10-01\n';
  expect(check('v1.2.3', '1.2.3', dated)).toEqual({ status: 0, said: '' });
  expect(check('v1.2.2', '1.2.3', dated)).toEqual({ status: 1, said: 'the tag is v1.2.2, the version 1.2.3\n' });
  expect(check('v1.2.4', '1.2.4', dated).said).toContain('no entry for 1.2.4');
  expect(check('v1.2.3', '1.2.3', '## [1.2.3] - unreleased\n').said).toContain('no date');
});
