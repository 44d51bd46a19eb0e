import type { ChildProcess } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { cli, errorOf, workspace } from './harness.js';

const SIZE = 3 * 1024 ** 3;

/** A plain file of 3 GiB that takes no room on disk: it ends in a hole. */
function sparseModel(path: string): void {
  const header = Buffer.from(JSON.stringify({ w: { dtype: 'U8', shape: [SIZE], data_offsets: [0, SIZE] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([length, header]));
  ftruncateSync(file, 8 + header.length + SIZE);
  closeSync(file);
}

/** Sends the signal as soon as the temporary file is there: the work has begun, and seconds of it are left. */
async function interruptOnceWriting(child: ChildProcess, folder: string, signal: NodeJS.Signals): Promise<void> {
  while (!readdirSync(folder).some((name) => name.endsWith('.tmp'))) {
    if (child.exitCode !== null) throw new Error('the process ended before it began to write');
    await sleep(2);
  }
  child.kill(signal);
}

it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const)(
  '%s during encrypt: exit code 130, nothing left behind',
  async (signal) => {
    const cwd = await workspace();
    sparseModel(join(cwd, 'large.safetensors'));
    const before = readdirSync(cwd).sort();
    let interrupted: Promise<void> | undefined;
    const args = ['encrypt', 'large.safetensors', 'out.safetensors', '-k', 'keys.json', '--threads', '1', '--json'];
    const result = await cli(args, {
      cwd,
      onStart: (child) => {
        interrupted = interruptOnceWriting(child, cwd, signal);
      },
    });
    await interrupted;
    expect(result.exitCode).toBe(130);
    expect(errorOf(result).code).toBe('ABORT_ERR');
    expect(readdirSync(cwd).sort()).toEqual(before);
  },
);
