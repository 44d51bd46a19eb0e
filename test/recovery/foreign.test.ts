import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDisk } from '#dist/files/disk.js';
import { carryOut } from '#dist/recovery/changes.js';
import { markOf } from '#dist/recovery/journal.js';
import type { HeaderSwap } from '#dist/recovery/journal.js';
import { claimOf, journalOf, newToken, temporaryOf } from '#dist/recovery/page.js';
import { runSync } from '#dist/twin.js';
import { loadFile, recoverFile, rewrapFile, saveFile } from 'cryptotensors';
import { makeScene } from '../../scripts/crash-test.mjs';
import type { Scene } from '../../scripts/crash-test.mjs';
import { headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { plantJournal } from '../support/planted-journal.js';
import { temporaryFolder } from '../support/temporary.js';

/** What another user leaves beside a file that is not his, where everybody may add files. */
const OTHER = 65534;
const folder = temporaryFolder();

/** The change of a file's header to a text of somebody's own. */
function swapOf(path: string): HeaderSwap & { kind: 'swap' } {
  const before = Buffer.from(headerOf(readFileSync(path)));
  const after = Buffer.from(before).fill(0x20, 8);
  after.write('{"evil":"was here"}', 8);
  return { kind: 'swap', name: basename(path), before, after };
}

async function inSharedFolder(kind: 'single' | 'tight' | 'sharded'): Promise<Scene> {
  const scene = await makeScene(folder, kind);
  chmodSync(scene.folder, 0o1777);
  return scene;
}

/** Neither recovery nor rewrap does anything, and both name what is in the way and whose it is. */
async function refused({ path, keys, folder: where, files }: Scene, named: string): Promise<void> {
  const before = files.map((name) => readFileSync(join(where, name)));
  for (const work of [() => recoverFile(path), () => rewrapFile(path, { keys: keys[0], to: { keys: keys[1] } })]) {
    const error = await refusal('FileBusy', work);
    expect(error.message).toContain(named);
    expect(error.message).toContain(`user ${OTHER}`);
  }
  expect(files.map((name) => readFileSync(join(where, name)))).toEqual(before);
  await loadFile(path, { keys: keys[0] });
}

describe.skipIf(process.getuid?.() !== 0)('what another user leaves in a folder where everybody may add files', () => {
  test('a journal is not carried out', async () => {
    const scene = await inSharedFolder('single');
    plantJournal(journalOf(scene.path), { changes: [swapOf(scene.path)] });
    chownSync(journalOf(scene.path), OTHER, OTHER);
    await refused(scene, basename(journalOf(scene.path)));
    unlinkSync(journalOf(scene.path));
    await rewrapFile(scene.path, { keys: scene.keys[0], to: { keys: scene.keys[1] } });
    await loadFile(scene.path, { keys: scene.keys[1] });
  });

  test('nor that of a whole model', async () => {
    const scene = await inSharedFolder('sharded');
    const shards = scene.files.filter((name) => name.endsWith('.safetensors')).map((name) => join(scene.folder, name));
    plantJournal(journalOf(scene.path), { changes: shards.map(swapOf) });
    chownSync(journalOf(scene.path), OTHER, OTHER);
    await refused(scene, basename(journalOf(scene.path)));
  });

  test('nor do readers open files with headers from it, which need not be signed', async () => {
    const scene = { folder: mkdtempSync(join(folder, 'plain-')), name: '1.safetensors' };
    chmodSync(scene.folder, 0o1777);
    const shard = join(scene.folder, scene.name);
    const index = join(scene.folder, 'model.safetensors.index.json');
    await saveFile({ w: { shape: [2], data: Float32Array.of(1, 2) } }, shard, {});
    writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: { w: scene.name } }));
    const before = Buffer.from(headerOf(readFileSync(shard)));
    const after = Buffer.from(before.toString('latin1').replace('F32', 'I32'), 'latin1');
    plantJournal(journalOf(index), { changes: [{ kind: 'swap', name: scene.name, before, after }] });
    const dtype = async () => (await loadFile(index)).get('w')!.dtype;
    expect(await dtype()).toBe('I32');
    chownSync(journalOf(index), OTHER, OTHER);
    expect(await dtype()).toBe('F32');
    // Where not to be sticky means that whoever adds files can also replace them, nothing is gained by it.
    chmodSync(scene.folder, 0o777);
    expect(await dtype()).toBe('I32');
  });

  test('a mark on a shard is none', async () => {
    const scene = await inSharedFolder('sharded');
    const shard = join(scene.folder, '2.safetensors');
    const whole = { token: newToken(), index: basename(scene.path), folder: scene.folder };
    plantJournal(journalOf(shard), { whole });
    chownSync(journalOf(shard), OTHER, OTHER);
    await refused(scene, basename(journalOf(shard)));
  });

  test('a claim to finish the work of a process that is gone is none', async () => {
    const scene = await inSharedFolder('single');
    const token = newToken();
    plantJournal(journalOf(scene.path), { token });
    const claim = claimOf(journalOf(scene.path), token);
    plantJournal(claim);
    chownSync(claim, OTHER, OTHER);
    await refused(scene, basename(claim));
  });

  test('a file is not put in the place of the model', async () => {
    const scene = await inSharedFolder('single');
    const token = newToken();
    const temporary = temporaryOf(scene.path, token);
    const copy = `${scene.path}.copy`;
    await rewrapFile(scene.path, { keys: scene.keys[0], to: { keys: scene.keys[1] }, target: copy });
    copyFileSync(copy, temporary);
    chownSync(temporary, OTHER, OTHER);
    const [before, after] = [
      runSync(markOf(headerOf(readFileSync(scene.path)))),
      runSync(markOf(headerOf(readFileSync(copy)))),
    ];
    plantJournal(journalOf(scene.path), {
      token,
      changes: [{ kind: 'replace', name: basename(scene.path), before, after }],
    });
    await refused(scene, basename(temporary));
    // The same file of a user whom this process trusts is.
    chownSync(temporary, 0, 0);
    expect(await recoverFile(scene.path)).toBe('finished');
    await loadFile(scene.path, { keys: scene.keys[1] });
  });
});

describe.skipIf(process.getuid?.() !== 0)('what the owner of a model leaves', () => {
  test('is finished by root, in a folder of his own; not where everybody can put a file in its place', async () => {
    const scene = await makeScene(folder, 'single');
    chownSync(scene.path, OTHER, OTHER);
    plantJournal(journalOf(scene.path), { changes: [swapOf(scene.path)] });
    chownSync(journalOf(scene.path), OTHER, OTHER);
    chmodSync(scene.folder, 0o1777);
    await refusal('FileBusy', () => recoverFile(scene.path));
    chownSync(dirname(scene.path), OTHER, OTHER);
    expect(await recoverFile(scene.path)).toBe('finished');
    expect(existsSync(journalOf(scene.path))).toBe(false);
    expect(Buffer.from(headerOf(readFileSync(scene.path))).toString()).toContain('was here');
  });

  test('is not done to a file of somebody else that he puts there in the last moment', async () => {
    const scene = await makeScene(folder, 'single');
    const before = readFileSync(scene.path);
    const disk = openDisk();
    try {
      const target = { path: scene.path, token: newToken(), maker: OTHER };
      await refusal('FileChanged', () => carryOut(swapOf(scene.path), target, disk));
      expect(readFileSync(scene.path)).toEqual(before);
    } finally {
      disk.close();
    }
  });
});
