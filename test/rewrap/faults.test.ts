import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Storage } from '#dist/files/storage.js';
import { rewrap } from '#dist/rewrap/rewrap-file.js';
import { inspectFile, safeOpenSync } from 'cryptotensors';
import { inspectScene, makeScene } from '../../scripts/crash-test.mjs';
import type { Scene, SceneKind } from '../../scripts/crash-test.mjs';
import { refusal } from '../support/errors.js';
import { stepwiseDisk } from '../support/stepwise-disk.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();

/** A disk of which one step that takes room fails as a full one does; a write, after half of it. */
function failing(at: number, seen: { steps: number }): Storage {
  return stepwiseDisk(async (step) => {
    if (step.kind === 'open' || step.kind === 'openToRead' || step.kind === 'remove') return;
    if (step.kind === 'write') await step.writeHalf();
    if (++seen.steps === at) {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', syscall: 'write' });
    }
  });
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
    const [soon, late] = [Date.now() + 2000, Date.now() + 20_000];
    let opened = 0;
    // On a busy machine for longer.
    while (Date.now() < soon || (Date.now() < late && (opened <= 20 || seen.size < 2))) {
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
