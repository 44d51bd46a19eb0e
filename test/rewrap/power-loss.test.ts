import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { inspectScene, makeScene } from '../../scripts/crash-test.mjs';
import type { Scene, SceneKind } from '../../scripts/crash-test.mjs';
import { temporaryFolder } from '../support/temporary.js';

/**
 * A machine that loses power keeps what was flushed, and of the rest whatever it likes. A flush that is missing, or that comes
 * too late, shows here as a model that does not open any more.
 */
const folder = temporaryFolder();
const child = fileURLToPath(new URL('power-loss-child.mjs', import.meta.url));

type Task = Pick<Scene, 'path' | 'keys'> & { lossAt: number; seed: number };

/** All in one process, which is gone when they are looked at. */
async function rewrapUntilLoss(tasks: readonly Task[]): Promise<number[]> {
  const started = spawn(execPath, [child], { stdio: ['pipe', 'pipe', 'inherit'] });
  started.stdin.end(JSON.stringify(tasks));
  return JSON.parse(await text(started.stdout)) as number[];
}

describe.each<SceneKind>(['single', 'tight', 'sharded'])('power is lost: %s', (kind) => {
  test('at any step, and the model is the old one or the new one', { timeout: 180_000 }, async () => {
    const [steps] = await rewrapUntilLoss([{ ...(await makeScene(folder, kind)), lossAt: 0, seed: 0 }]);
    const scenes: (Scene & Task)[] = [];
    // One step more: after the rewrap has returned.
    for (let lossAt = 1; lossAt <= steps! + 1; lossAt++) {
      for (let seed = 0; seed < (kind === 'sharded' ? 6 : 16); seed++)
        scenes.push({ ...(await makeScene(folder, kind)), lossAt, seed });
    }
    await rewrapUntilLoss(scenes);
    const seen = new Map<string, number>();
    const last: { after: string }[] = [];
    for (const scene of scenes) {
      const { recovery, after } = await inspectScene(scene);
      if (scene.lossAt > steps!) last.push({ after });
      const outcome = `${recovery}, ${after}`;
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
    expect(seen.get('finished, new')).toBeGreaterThan(5);
    expect(seen.get('undone, old')).toBeGreaterThan(5);
    // What rewrapFile has returned from is there for good.
    expect(last.every(({ after }) => after === 'new')).toBe(true);
  });
});
