import { describe, expect, it } from 'vitest';
import { KEYS, saveSmallModel } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { cli } from './harness.js';

const folder = temporaryFolder();
const path = saveSmallModel(folder, 'model.safetensors');

describe('bench', () => {
  it('shows the engine and which AEAD serves each algorithm', async () => {
    const { exitCode, stdout } = await cli(['bench', '--json']);
    expect(exitCode).toBe(0);
    const { engine, load } = JSON.parse(stdout) as {
      engine: { engine: string; aead: Record<string, string> };
      load: unknown;
    };
    expect(load).toBeNull();
    expect(Object.keys(engine.aead).sort()).toEqual(['aes128gcm', 'aes256gcm', 'chacha20poly1305']);
    for (const provider of Object.values(engine.aead)) expect(['openssl', 'ring']).toContain(provider);
    expect((await cli(['bench'])).stdout).toMatch(
      /^engine: native, \d+ threads; .*\n\nalgorithm +uses +openssl +ring\n/,
    );
  });

  it('loads a file as often as it is told', async () => {
    const { exitCode, stdout } = await cli(['bench', path, '--keys', KEYS.pathname, '--rounds', '3', '--json']);
    expect(exitCode).toBe(0);
    const { load } = JSON.parse(stdout) as { load: { bytes: number; rounds: number; medianMs: number } };
    expect(load).toMatchObject({ bytes: 621, rounds: 3 });
    expect(load.medianMs).toBeGreaterThan(0);
    expect((await cli(['bench', path, '--rounds', '0'])).exitCode).toBe(2);
    expect((await cli(['bench', path, '--keys', KEYS.pathname, '--sign-kid', 'nobody'])).exitCode).toBe(3);
  });
});
