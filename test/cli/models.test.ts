import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SHARDS, digestsOf, writeModelFolder } from '../support/model-folder.js';
import { cli, document, fileOf, workspace } from './harness.js';

describe('a folder with a model', () => {
  it('is encrypted, verified and decrypted by the same commands as a file', async () => {
    const cwd = await workspace();
    const plain = writeModelFolder(join(cwd, 'plain'));
    writeFileSync(join(plain, '.cache'), 'x');
    const made = await cli(['encrypt', 'plain', 'sealed', '-k', 'keys.json'], { cwd });
    expect(made).toMatchObject({ exitCode: 0, stderr: 'warning: .cache stays behind: its name is hidden\n' });
    expect(made.stdout).toMatch(
      /^Wrote sealed: the model [0-9a-f-]{36}\n {2}3 files of tensors, encrypted and signed\n {2}2 files sealed: empty.bin, onnx\/model.onnx\n {2}3 files plain, bound by the signature: README.md, config.json, tokenizer\/vocab.txt\n$/,
    );
    writeFileSync(join(cwd, 'sealed', 'more.txt'), 'x');
    const verified = await cli(['verify', 'sealed', '-k', 'keys.json'], { cwd });
    expect(verified.exitCode, verified.stderr).toBe(0);
    expect(verified.stdout).toContain('  5 files beside the weights verified\n');
    expect(verified.stdout).toContain('  more.txt does not belong to the model: nobody vouches for it\n');
    const back = await cli(['decrypt', 'sealed', 'back', '-k', 'keys.json'], { cwd });
    expect(back.exitCode, back.stderr).toBe(0);
    const { '.cache': hidden, ...source } = digestsOf(plain);
    expect(hidden).toBeDefined();
    expect(digestsOf(join(cwd, 'back'))).toEqual(source);
  });

  it('is told of with --json', async () => {
    const cwd = await workspace();
    writeModelFolder(join(cwd, 'plain'));
    const made = await cli(['encrypt', 'plain/model.safetensors.index.json', 'sealed', '-k', 'keys.json', '--json'], {
      cwd,
    });
    expect(document(made)).toMatchObject({ target: 'sealed', weights: SHARDS, sealed: [], plain: [], left: [] });
    const verified = await cli(['verify', 'sealed', '-k', 'keys.json', '--json'], { cwd });
    expect(fileOf(verified)).toMatchObject({ tensors: 6, files: [], unlisted: [] });
  });

  it('is not replaced, and one that was changed names the file that is to blame', async () => {
    const cwd = await workspace();
    writeModelFolder(join(cwd, 'plain'));
    expect((await cli(['encrypt', 'plain', 'sealed', '-k', 'keys.json'], { cwd })).exitCode).toBe(0);
    const again = await cli(['encrypt', 'plain', 'sealed', '-k', 'keys.json', '--force'], { cwd });
    expect(again).toMatchObject({ exitCode: 2 });
    expect(again.stderr).toContain('a folder is not replaced');
    writeFileSync(join(cwd, 'sealed', 'config.json'), '{}');
    const changed = await cli(['decrypt', 'sealed', 'back', '-k', 'keys.json'], { cwd });
    expect(changed.exitCode).not.toBe(0);
    expect(changed.stderr).toContain('sealed/config.json');
    expect(existsSync(join(cwd, 'back'))).toBe(false);
  });
});
