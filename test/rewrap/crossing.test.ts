import { createHash } from 'node:crypto';
import { readFileSync, utimesSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { openDisk } from '#dist/files/disk.js';
import type { Storage } from '#dist/files/storage.js';
import { isBetween, markOf } from '#dist/recovery/journal.js';
import { locateModel } from '#dist/recovery/model-location.js';
import { recoverAt } from '#dist/recovery/recovery.js';
import { rewrap } from '#dist/rewrap/rewrap-file.js';
import { runAsync } from '#dist/twin.js';
import { generateKeys, loadFile, rewrapFile, safeOpen, saveFileSync } from 'cryptotensors';
import type { AuditEvent } from 'cryptotensors';
import { inspectScene, makeScene, rewrapOnce } from '../../scripts/crash-test.mjs';
import type { Scene, SceneKind } from '../../scripts/crash-test.mjs';
import { refusal } from '../support/errors.js';
import { smallTensors } from '../support/model.js';
import { stepwiseDisk } from '../support/stepwise-disk.js';
import { temporaryFolder } from '../support/temporary.js';

/** Two that work on one file at a time. */
const folder = temporaryFolder();

/** A disk that does something else before one of its steps. */
function interrupted(at: number, seen: { steps: number }, work: () => Promise<void>): Storage {
  return stepwiseDisk(async () => {
    if (++seen.steps === at) await work();
  });
}

type Task = (scene: Scene, storage: Storage) => Promise<unknown>;
const rewrapping: Task = ({ path, keys }, storage) =>
  rewrap({ path, target: null }, { keys: keys[0], to: { keys: keys[1] } }, storage);
const recovering: Task = async ({ path }, storage) => recoverAt(await locateModel(path), storage, { mayBeAlive: true });

/**
 * At every step of a first task a second one is done wholly. Whatever the two say, the model is one of the two in the end, a rewrap
 * that returned has happened, and no file is left over.
 */
async function crossAtEveryStep(makeModel: () => Promise<Scene>, first: Task, second: Task): Promise<Set<string>> {
  const outcomes = new Set<string>();
  const told = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      (error: unknown) => (error as { code: string }).code,
    );
  const whole = { steps: 0 };
  await first(
    await makeModel(),
    interrupted(0, whole, () => Promise.resolve()),
  );
  for (let at = 1; at <= whole.steps; at++) {
    const scene = await makeModel();
    let other = '';
    const disk = openDisk();
    const storage = interrupted(at, { steps: 0 }, async () => {
      other = await told(second(scene, disk));
    });
    const own = await told(first(scene, storage));
    disk.close();
    const { after } = await inspectScene(scene, { isOnce: false });
    // Who returns has done what was asked for, and two never have.
    if (first === rewrapping && own === 'done') expect(after, `step ${at}`).toBe('new');
    if (first === rewrapping && second === rewrapping) expect([own, other], `step ${at}`).not.toEqual(['done', 'done']);
    outcomes.add(`${own}, ${other}`);
  }
  return outcomes;
}

/** A rewrap that was killed when its journal was whole. */
async function dead(kind: SceneKind): Promise<Scene> {
  const scene = await makeScene(folder, kind);
  const steps = await rewrapOnce(await makeScene(folder, kind), null);
  const committed = steps!.findLastIndex(({ name, bytes }) => name === 'write' && bytes > 0);
  await rewrapOnce(scene, { step: committed + (kind === 'tight' ? 4 : 1), bytes: 0 });
  return scene;
}

describe('two of one file at a time', () => {
  test.each<SceneKind>(['single', 'tight', 'sharded'])('two rewraps: %s', { timeout: 300_000 }, async (kind) => {
    const outcomes = await crossAtEveryStep(() => makeScene(folder, kind), rewrapping, rewrapping);
    expect(outcomes).toContain('done, FileBusy');
    for (const outcome of outcomes)
      expect(outcome).toMatch(/^(done|FileBusy|UntrustedSigner), (done|FileBusy|UntrustedSigner)$/);
  });

  test('two that recover what was left', { timeout: 300_000 }, async () => {
    const outcomes = await crossAtEveryStep(() => dead('single'), recovering, recovering);
    for (const outcome of outcomes) expect(outcome).toMatch(/^(done|FileBusy), (done|FileBusy)$/);
    expect(outcomes).toContain('done, done');
    expect(outcomes).toContain('done, FileBusy');
  });

  test('one that recovers, and one that rewraps anew', { timeout: 300_000 }, async () => {
    const anew: Task = ({ path, keys }, storage) =>
      rewrap({ path, target: null }, { keys: keys[1], to: { keys: keys[0] } }, storage);
    const outcomes = await crossAtEveryStep(() => dead('single'), recovering, anew);
    for (const outcome of outcomes) expect(outcome).toMatch(/^(done|FileBusy), (done|FileBusy|UntrustedSigner)$/);
    expect(outcomes).toContain('done, FileBusy');
  });
});

test('a clean-up that fails too hides nothing: the cause is thrown, and says what is left', async () => {
  const scene = await makeScene(folder, 'single');
  const disk = openDisk();
  let isOver = false;
  const broken: Storage = {
    ...disk,
    remove: (path) =>
      isOver
        ? Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO', errno: -5, syscall: 'unlink' }))
        : disk.remove(path),
  };
  const before = readFileSync(scene.path);
  const denying = {
    keys: scene.keys[0],
    policy: { evaluate: (): boolean => !(isOver = true) },
    to: { keys: scene.keys[1] },
  };
  const denied = await refusal('PolicyDenied', () => rewrap({ path: scene.path, target: null }, denying, broken));
  expect(denied.message).toMatch(/could not be removed.*i\/o error.*recoverFile/);
  expect((denied.cause as { code: string }).code).toBe('PolicyDenied');
  expect(readFileSync(scene.path)).toEqual(before);
  disk.close();
});

test('a disk that takes no bytes and says nothing is an error, and no endless loop', async () => {
  const path = `${folder}/stuck`;
  const disk = openDisk();
  const file = await disk.create(path);
  await using opened = await open(path, 'r');
  const handle = Object.getPrototypeOf(opened) as { write: unknown };
  const { write } = handle;
  handle.write = () => Promise.resolve({ bytesWritten: 0 });
  try {
    const error = await refusal('FileError', () => file.write(new Uint8Array(10), 0));
    expect(error).toMatchObject({ path, systemCode: 'ENOSPC' });
  } finally {
    handle.write = write;
    await file.close();
    disk.close();
  }
});

describe('a file whose time lies in the future', () => {
  test('is not tried again: one wrong key is one attempt', async () => {
    const path = `${folder}/future.safetensors`;
    const keys = generateKeys();
    saveFileSync(smallTensors(), path, { keys });
    utimesSync(path, new Date('2100-01-01'), new Date('2100-01-01'));
    const events: AuditEvent[] = [];
    const wrong = { ...generateKeys().keys[0]!, kid: keys.keys[0]!.kid! };
    const onEvent = (event: AuditEvent): void => void events.push(event);
    await refusal('BadTag', () => safeOpen(path, { keys: { keys: [wrong, keys.keys[1]!] }, onEvent }));
    expect(events.map(({ type }) => type)).toEqual(['key-used', 'key-used', 'denied']);
  });

  test('opens all the same while its header is overwritten', async () => {
    const scene = await makeScene(folder, 'single');
    utimesSync(scene.path, new Date('2100-01-01'), new Date('2100-01-01'));
    const ends = rewrapFile(scene.path, { keys: scene.keys[0], to: { keys: scene.keys[1] } });
    let opened = 0;
    for (let i = 0; i < 20; i++) {
      for (const keys of scene.keys) {
        await loadFile(scene.path, { keys }).then(
          () => opened++,
          (error: unknown) => expect((error as { code: string }).code).toBe('UntrustedSigner'),
        );
      }
    }
    await ends;
    expect(opened).toBeGreaterThan(10);
  });
});

test('long headers are hashed and compared piece by piece: the event loop has its turn in between', async () => {
  const header = new Uint8Array(32 * 1024 * 1024);
  const torn = header.slice().fill(1, 0, 20 * 1024 * 1024);
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const swap = { kind: 'swap' as const, name: 'x', before: header, after: torn.slice().fill(1) };
  expect(await runAsync(isBetween(torn, swap))).toBe(true);
  expect(turns).toBeGreaterThan(2);
  turns = 0;
  expect((await runAsync(markOf(header))).digest).toBe(createHash('sha256').update(header).digest('hex'));
  expect(turns).toBeGreaterThan(2);
  isOver = true;
});
