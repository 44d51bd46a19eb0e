import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { encodeJournal, encodeOwner, journalOf } from '#dist/recovery/journal.js';
import { rewrap } from '#dist/rewrap/rewrap-file.js';
import { disk } from '#dist/rewrap/storage.js';
import type { Storage, StorageFile } from '#dist/rewrap/storage.js';
import {
  attachHeader,
  generateKeys,
  inspectFile,
  loadFile,
  recoverFile,
  rewrapFile,
  safeOpenSync,
} from 'cryptotensors';
import { inspectScene, makeScene } from '../../scripts/crash-test.mjs';
import type { Scene, SceneKind } from '../../scripts/crash-test.mjs';
import { refusal } from '../support/errors.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();

/** A disk of which one step fails as a full one does. */
function failing(step: number, seen: { steps: number }): Storage {
  const count = (): void => {
    if (++seen.steps === step) {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', syscall: 'write' });
    }
  };
  const fileOf = (file: StorageFile): StorageFile => ({
    write: async (bytes, position) => {
      await file.write(bytes.subarray(0, bytes.length >> 1), position);
      count();
      await file.write(bytes, position);
    },
    sync: async () => {
      count();
      await file.sync();
    },
    isAt: (path) => file.isAt(path),
    close: () => file.close(),
  });
  return {
    ...disk,
    create: async (path) => {
      count();
      return fileOf(await disk.create(path));
    },
    open: async (path) => fileOf(await disk.open(path)),
    rename: async (from, to) => {
      count();
      await disk.rename(from, to);
    },
  };
}

describe.each<SceneKind>(['single', 'tight', 'sharded'])('a full disk: %s', (kind) => {
  test('at every step leaves the model as it was, and nothing behind', { timeout: 120_000 }, async () => {
    const contents = ({ folder: at }: Scene): Map<string, string> =>
      new Map(readdirSync(at).map((name) => [name, readFileSync(`${at}/${name}`, 'latin1')]));
    const whole = { steps: 0 };
    const task = (scene: Scene, storage: Storage): Promise<unknown> =>
      rewrap({ path: scene.path, target: null }, { keys: scene.keys[0], to: { keys: scene.keys[1] } }, storage);
    await task(await makeScene(folder, kind), failing(0, whole));
    for (let step = 1; step <= whole.steps; step++) {
      const scene = await makeScene(folder, kind);
      const before = contents(scene);
      const error = await refusal('FileError', () => task(scene, failing(step, { steps: 0 })));
      expect(error.systemCode).toBe('ENOSPC');
      expect(contents(scene)).toEqual(before);
    }
  });
});

describe('who reads while others rewrap', () => {
  test.each<SceneKind>(['single', 'tight', 'sharded'])('sees the old model or the new one: %s', async (kind) => {
    const scene = await makeScene(folder, kind);
    const child = fileURLToPath(new URL('crash-child.mjs', import.meta.url));
    const task = JSON.stringify({ kind: 'loop', path: scene.path, keys: scene.keys });
    const writer = spawn(execPath, [child, task], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(writer.stdout, 'data');
    const seen = new Set<string>();
    const end = Date.now() + 2000;
    let opened = 0;
    while (Date.now() < end) {
      // Blocking, so that the other process is all that happens in between.
      using file = safeOpenSync(scene.path, { keys: scene.keys });
      const signers = new Set(file.signers());
      expect(signers.size).toBe(1);
      seen.add(String([...signers][0]));
      await inspectFile(kind === 'sharded' ? `${scene.folder}/1.safetensors` : scene.path);
      opened++;
    }
    writer.kill('SIGKILL');
    await once(writer, 'close');
    await inspectScene(scene, { isOnce: false });
    expect([...seen].sort()).toEqual(['b', 'd']);
    expect(opened).toBeGreaterThan(20);
  });
});

describe('a journal that an attacker plants', () => {
  const nobody = { pid: 1, host: `not-${hostname()}`, boot: null, namespace: null, started: null };

  /** A file whose header is torn, and a journal that offers another header for it. */
  async function torn(after: (header: Buffer, scene: Scene) => Promise<Buffer>): Promise<Scene> {
    const scene = await makeScene(folder, 'single');
    const bytes = readFileSync(scene.path);
    const before = bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE(0)));
    const offered = await after(Buffer.from(before), scene);
    const swap = { kind: 'swap' as const, name: 'model.safetensors', before: Buffer.from(before), after: offered };
    writeFileSync(journalOf(scene.path), encodeJournal(encodeOwner(nobody, null), [swap]));
    offered.copy(bytes, 0, 0, before.length >> 3);
    writeFileSync(scene.path, bytes);
    return scene;
  }

  test('with a header of his own gains nothing: it is verified like any other', async () => {
    const attacker = generateKeys();
    const scene = await torn(async (header, { path, keys }) => {
      const own = `${path}.attacker`;
      await rewrapFile(path, { keys: keys[0], to: { keys: attacker }, target: own });
      return readFileSync(own).subarray(0, header.length);
    });
    // The old header, which is genuine, still opens it.
    await loadFile(scene.path, { keys: scene.keys[0] });
    await refusal('UntrustedSigner', () => loadFile(scene.path, { keys: scene.keys[1] }));
    await recoverFile(scene.path);
    await refusal('UntrustedSigner', () => loadFile(scene.path, { keys: scene.keys[0] }));
    await refusal('UntrustedSigner', () => loadFile(scene.path, { keys: scene.keys[1] }));
  });

  test('for another file is not used, nor carried out', async () => {
    const scene = await torn((header) => Promise.resolve(header.fill(0x20, 400)));
    const bytes = readFileSync(scene.path);
    bytes[20]! ^= 1;
    writeFileSync(scene.path, bytes);
    await expect(loadFile(scene.path, { keys: scene.keys[0] })).rejects.toMatchObject({ code: /./ });
    await refusal('FileChanged', () => recoverFile(scene.path));
    await refusal('FileBusy', () => rewrapFile(scene.path, { keys: scene.keys[0], to: { keys: scene.keys[1] } }));
    expect(readFileSync(scene.path)).toEqual(bytes);
  });

  test('beside a sound file is not looked at', async () => {
    const scene = await makeScene(folder, 'single');
    writeFileSync(journalOf(scene.path), 'x'.repeat(100));
    expect((await loadFile(scene.path, { keys: scene.keys[0] })).size).toBe(2);
    await attachHeader(scene.path, readFileSync(scene.path).subarray(0, 8 + headerLength(scene.path)), scene.path);
    expect((await loadFile(scene.path, { keys: scene.keys[0] })).size).toBe(2);
  });
});

function headerLength(path: string): number {
  return Number(readFileSync(path).readBigUInt64LE(0));
}
