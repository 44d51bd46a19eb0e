import { describe, expect, test } from 'vitest';
import { inspectScene, killAtRandom, makeScene, rewrapOnce } from '../../scripts/crash-test.mjs';
import type { Death, SceneKind } from '../../scripts/crash-test.mjs';
import { temporaryFolder } from '../support/temporary.js';

/**
 * A process is killed (SIGKILL) while it rewraps. Afterwards the model opens with the old keys or the new ones, a sharded one as a
 * whole, and recovery leaves just one of the two and no journal: `inspectScene` throws if not.
 */
const folder = temporaryFolder();

/** Dies before each step, after the last one, and in the middle of each write. */
function deathsOf(steps: readonly { name: string; bytes: number }[], more: number): Death[] {
  return [...steps, { name: 'end', bytes: 0 }].flatMap(({ bytes }, i) =>
    partsOf(bytes, more).map((part) => ({ step: i + 1, bytes: part })),
  );
}

/** How much of a write is done: of a header, which is overwritten where it stands, in `more` places. */
function partsOf(bytes: number, more: number): number[] {
  if (bytes === 0) return [0];
  if (bytes > 16_000) return [0, 1, bytes - 32, bytes - 1, bytes];
  const step = Math.floor(960 / more);
  return [0, 1, 7, 8, 9, bytes - 1, bytes, ...Array.from({ length: more }, (_, i) => 40 + i * step)];
}

async function dieAt(kind: SceneKind, death: Death): Promise<string> {
  const scene = await makeScene(folder, kind);
  await rewrapOnce(scene, death);
  const { before, recovery, after } = await inspectScene(scene);
  return `${before}, ${recovery}, ${after}`;
}

/** Two processes at a time. */
async function dieEverywhere(kind: SceneKind, more: number): Promise<Map<string, number>> {
  const steps = await rewrapOnce(await makeScene(folder, kind), null);
  const left = deathsOf(steps!, more);
  const outcomes = new Map<string, number>();
  const work = async (): Promise<void> => {
    for (let death = left.pop(); death !== undefined; death = left.pop()) {
      const outcome = await dieAt(kind, death);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all([work(), work()]);
  return outcomes;
}

describe('a process that is killed', () => {
  test('at every step and in the middle of every write of a swap', { timeout: 180_000 }, async () => {
    const outcomes = await dieEverywhere('single', 32);
    // Before the journal was whole; with a whole journal and the old header; with a torn one; with the new one; done.
    expect([...outcomes.keys()].sort()).toEqual([
      'new, finished, new',
      'new, nothing, new',
      'old or new, finished, new',
      'old, finished, new',
      'old, nothing, old',
      'old, undone, old',
    ]);
    expect(outcomes.get('old or new, finished, new')).toBeGreaterThan(20);
  });

  test('while a file is replaced that has no room for another header', { timeout: 180_000 }, async () => {
    const outcomes = await dieEverywhere('tight', 0);
    expect([...outcomes.keys()].sort()).toEqual([
      'new, finished, new',
      'new, nothing, new',
      'old, finished, new',
      'old, nothing, old',
      'old, undone, old',
    ]);
  });

  test('at every step and in the middle of every write of a sharded rewrap', { timeout: 300_000 }, async () => {
    const outcomes = await dieEverywhere('sharded', 4);
    // Once the journal is whole, both views of the whole are there, until a shard was replaced.
    expect([...outcomes.keys()].sort()).toEqual([
      'new, finished, new',
      'new, nothing, new',
      'old or new, finished, new',
      'old, nothing, old',
      'old, undone, old',
    ]);
  });

  test('at a hundred random moments', { timeout: 180_000 }, async () => {
    const outcomes = await killAtRandom(folder, 100, ['single', 'sharded', 'tight']);
    expect(Object.values(outcomes).reduce((sum, n) => sum + n, 0)).toBe(100);
  });
});
