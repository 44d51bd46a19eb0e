import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { saveFileSync } from '#dist/index.js';
import { cli, encryptedWorkspace, fileOf, readJwks, temporaryFolder, workspace } from './harness.js';

describe('inspect', () => {
  it('shows the header of an encrypted file without a key, as unverified', async () => {
    const cwd = await encryptedWorkspace(['--tensors', 'encoder.*']);
    const [enc, sign] = readJwks(join(cwd, 'keys.json')).keys;
    const { exitCode, stdout, stderr } = await cli(['inspect', 'model.ct.safetensors'], { cwd });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(/^model\.ct\.safetensors: encrypted, format version 2, .* 3 tensors\nUNVERIFIED: /);
    expect(stdout).toContain(`master key   ${enc!.kid!}, aes256gcm\n`);
    expect(stdout).toContain(`signed by    ${sign!.kid!}, ed25519`);
    expect(stdout).toContain('policy       package model\n             allow = true\n');
    expect(stdout).toContain('metadata     format = pt\n');
    expect(stdout).toMatch(/^encoder\.0\.weight +F32 +\[64, 32\] +8\.2 kB +encrypted$/m);
    expect(stdout).toMatch(/^position_ids +I64 +\[1, 16\] +128 B +digest$/m);
  });

  it('shows plain files', async () => {
    const cwd = await workspace();
    const { exitCode, stdout } = await cli(['inspect', 'plain.safetensors'], { cwd });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^plain\.safetensors: plain, /);
    expect(stdout).toContain('UNVERIFIED');
    expect(stdout).not.toContain('PROTECTED BY');
  });

  it('cuts long metadata, which --json shows whole', async () => {
    const cwd = temporaryFolder();
    const long = 'x'.repeat(5000);
    saveFileSync({}, join(cwd, 'plain.safetensors'), { metadata: { long } });
    const text = (await cli(['inspect', 'plain.safetensors'], { cwd })).stdout;
    expect(text).toContain(`long = ${'x'.repeat(200)}... (5000 characters; --json shows all)\n`);
    expect(text).toMatch(/\nno tensors\n$/);
    expect(fileOf(await cli(['inspect', 'plain.safetensors', '--json'], { cwd })).metadata).toEqual({ long });
  });

  it('says the same as JSON', async () => {
    const cwd = await encryptedWorkspace(['--chunk-size', '64KiB']);
    const [enc, sign] = readJwks(join(cwd, 'keys.json')).keys;
    expect(fileOf(await cli(['inspect', 'model.ct.safetensors', '--json'], { cwd }))).toMatchObject({
      path: 'model.ct.safetensors',
      verified: false,
      metadata: { format: 'pt' },
      encryption: {
        keys: { version: 2, chunkSize: 65536, enc: { kid: enc!.kid }, sign: { kid: sign!.kid } },
        policy: { local: 'package model\nallow = true' },
      },
      tensors: [
        { name: 'position_ids', dtype: 'I64', shape: [1, 16], byteLength: 128, check: 'tag' },
        { name: 'encoder.0.bias', dtype: 'F32', shape: [64], byteLength: 256, check: 'tag' },
        { name: 'encoder.0.weight', dtype: 'F32', shape: [64, 32], byteLength: 8192, check: 'tag' },
      ],
    });
  });

  it('makes control characters of names, metadata and policies visible', async () => {
    const cwd = temporaryFolder();
    const hostile = 'w\u001b[2J\u009b\u202e\nspoofed line';
    saveFileSync({ [hostile]: { shape: [1], data: new Float32Array(1) } }, join(cwd, 'plain.safetensors'), {
      metadata: { [hostile]: hostile },
    });
    await cli(['keygen', '-o', 'keys.json', '--enc-kid', 'm\u001b[31m'], { cwd });
    writeFileSync(join(cwd, 'p.rego'), 'package model\n# \u001b[8m hidden\nallow = true\n');
    const made = await cli(
      ['encrypt', 'plain.safetensors', 'model.ct.safetensors', '-k', 'keys.json', '--policy', 'p.rego'],
      { cwd },
    );
    const outputs = [
      made,
      await cli(['inspect', 'model.ct.safetensors'], { cwd }),
      await cli(['inspect', 'model.ct.safetensors', '--json'], { cwd }),
    ];
    for (const { exitCode, stdout } of outputs) {
      expect(exitCode).toBe(0);
      // eslint-disable-next-line no-control-regex -- looking for control characters
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    }
    expect(outputs[1]!.stdout).toContain('"w\\u001b[2J\\u009b\\u202e\\nspoofed line"');
    expect(outputs[1]!.stdout).toContain('# \\u001b[8m hidden');
    expect((fileOf(outputs[2]!).tensors as { name: string }[])[0]!.name).toBe(hostile);
  });
});
