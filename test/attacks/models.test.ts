import { copyFileSync, cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decryptModel, encryptFile, encryptModel, generateKeys, publicJwks, rewrapFile, safeOpen, safeOpenSync, verifyFile } from 'cryptotensors'; // prettier-ignore
import type { ErrorCode } from 'cryptotensors';
import { beforeAll, describe, expect, it } from 'vitest';
import { refusal } from '../support/errors.js';
import { INDEX, SHARDS, writeModelFolder } from '../support/model-folder.js';
import { temporaryFolder } from '../support/temporary.js';
import { Forgery } from './forgery.js';

const folder = temporaryFolder();
const keys = generateKeys({ encKid: 'master', signKid: 'vendor' });
/** Another signer whom the customer trusts as well, for other models. */
const others = generateKeys({ encKid: 'master', signKid: 'other' });
const plain = writeModelFolder(join(folder, 'plain'));
const newer = writeModelFolder(join(folder, 'newer'), 5);
const ID = '00000000-0000-4000-8000-00000000000a';
const trust = { keys: [...publicJwks(keys).keys, ...publicJwks(others).keys] };

beforeAll(async () => {
  for (const [from, to] of [[plain, 'one'], [newer, 'two']] as const) {
    await encryptModel(from, join(folder, to), { keys, id: ID });
  }
  await encryptModel(plain, join(folder, 'other'), { keys });
  await encryptFile(join(plain, SHARDS[0]!), join(folder, 'bare'), { keys });
}); // prettier-ignore

let made = 0;

/** A copy of the first model, changed. */
function changed(change: (path: (name: string) => string) => void): string {
  const copy = join(folder, `changed-${made++}`);
  cpSync(join(folder, 'one'), copy, { recursive: true });
  change((name) => join(copy, name));
  return copy;
}

/** Refused in every form, with nothing returned; the file that is to blame is named. */
async function refuses(model: string, blamed: string, code: ErrorCode = 'ModelMismatch'): Promise<void> {
  const options = { keys, trust };
  const error = await refusal(code, () => safeOpen(model, options));
  expect(error.path).toBe(join(model, blamed));
  for (const work of [
    () => safeOpenSync(model, options),
    () => safeOpen(join(model, INDEX), options),
    () => verifyFile(model, options),
    () => decryptModel(model, join(folder, 'never'), options),
  ]) {
    expect((await refusal(code, work)).path).toBe(join(model, blamed));
  }
}

describe('the files of a model', () => {
  it('are refused with a shard of another version by the same signer', async () => {
    await refuses(
      changed((at) => copyFileSync(join(folder, 'two', SHARDS[1]!), at(SHARDS[1]!))),
      SHARDS[1]!,
    );
  });

  it('are refused with a shard of another model by the same signer', async () => {
    await refuses(
      changed((at) => copyFileSync(join(folder, 'other', SHARDS[2]!), at(SHARDS[2]!))),
      SHARDS[2]!,
    );
  });

  it('are refused with a shard taken out of the folder and of the index', async () => {
    const model = changed((at) => {
      rmSync(at(SHARDS[2]!));
      editIndex(at(INDEX), (map) => Object.fromEntries(Object.entries(map).filter(([, file]) => file !== SHARDS[2])));
    });
    await refuses(model, INDEX);
  });

  it('are refused with two shards that have changed places', async () => {
    const model = changed((at) => {
      renameSync(at(SHARDS[0]!), at('aside'));
      renameSync(at(SHARDS[1]!), at(SHARDS[0]!));
      renameSync(at('aside'), at(SHARDS[1]!));
      const swapped: Record<string, string> = { [SHARDS[0]!]: SHARDS[1]!, [SHARDS[1]!]: SHARDS[0]! };
      editIndex(at(INDEX), (map) =>
        Object.fromEntries(Object.entries(map).map(([name, file]) => [name, swapped[file] ?? file])),
      );
    });
    await refuses(model, SHARDS[1]!);
  });

  it('are refused with an index that moves a tensor', async () => {
    const model = changed((at) => editIndex(at(INDEX), (map) => ({ ...map, 'layer.0.bias': SHARDS[1]! })));
    await refuses(model, INDEX, 'InvalidIndex');
  });

  it('are refused with a shard that says nothing of its model', async () => {
    await refuses(
      changed((at) => copyFileSync(join(folder, 'bare'), at(SHARDS[0]!))),
      SHARDS[0]!,
    );
  });

  it('are refused with a shard whose identity another trusted signer has copied', async () => {
    const signer = others.keys.find(({ kid }) => kid === 'other')!;
    const model = changed((at) => {
      const forged = new Forgery(readFileSync(at(SHARDS[1]!)))
        .edit<{ sign: { kid: string } }>('__crypto_keys__', (document) => (document.sign.kid = 'other'))
        .sign(signer);
      writeFileSync(at(SHARDS[1]!), forged.bytes());
    });
    await refuses(model, SHARDS[1]!);
  });

  it('are refused with a shard whose identity was cut out and that another trusted signer has signed', async () => {
    const signer = others.keys.find(({ kid }) => kid === 'other')!;
    const model = changed((at) => {
      const forged = new Forgery(readFileSync(at(SHARDS[1]!)))
        .drop('__model__')
        .edit<{ sign: { kid: string } }>('__crypto_keys__', (document) => (document.sign.kid = 'other'))
        .sign(signer);
      writeFileSync(at(SHARDS[1]!), forged.bytes());
    });
    await refuses(model, SHARDS[1]!);
  });

  it('are refused with a shard of before a rewrap among those of after it', async () => {
    await encryptModel(plain, join(folder, 'flat'), { keys, files: { leave: ['onnx/**', 'empty.bin'] } });
    const copy = join(folder, 'rewrapped');
    cpSync(join(folder, 'flat'), copy, { recursive: true });
    await rewrapFile(copy, { keys, to: { keys } });
    using model = await safeOpen(copy, { keys });
    expect(model.identity()?.generation).toBe(2);
    copyFileSync(join(folder, 'flat', SHARDS[1]!), join(copy, SHARDS[1]!));
    const error = await refusal('ModelMismatch', () => safeOpen(copy, { keys }));
    expect(error.path).toBe(join(copy, SHARDS[1]!));
    expect(error.message).toContain('generation 1');
  });

  it('are refused with a sealed file that is missing, of another version, or in the place of another', async () => {
    await refuses(
      changed((at) => rmSync(at('onnx/model.onnx.sealed'))),
      'onnx/model.onnx.sealed',
    );
    const older = changed((at) => copyFileSync(join(folder, 'two', 'empty.bin.sealed'), at('empty.bin.sealed')));
    await refuses(older, 'empty.bin.sealed');
    const moved = changed((at) => copyFileSync(at('onnx/model.onnx.sealed'), at('empty.bin.sealed')));
    await refuses(moved, 'empty.bin.sealed');
    const shard = changed((at) => copyFileSync(at(SHARDS[0]!), at('empty.bin.sealed')));
    await refuses(shard, 'empty.bin.sealed');
  });

  it('are refused with a plain file that was changed or taken away, when it is read', async () => {
    const model = changed((at) => {
      writeFileSync(at('config.json'), '{"hidden_size": 65}');
      rmSync(at('README.md'));
    });
    await using opened = await safeOpen(model, { keys });
    const error = await refusal('ModelMismatch', () => opened.getFile('config.json').bytes());
    expect(error.path).toBe(join(model, 'config.json'));
    await refusal('ModelMismatch', () => opened.getFile('config.json').bytesSync());
    await refusal('ModelMismatch', () => opened.getFile('config.json').read(0, 1));
    await refusal('ModelMismatch', () => opened.getFile('README.md').bytes());
    await refusal('ModelMismatch', () => verifyFile(model, { keys }));
    await refusal('ModelMismatch', () => decryptModel(model, join(folder, 'never'), { keys }));
  });

  it('do not include a file that was added, which is neither listed nor read', async () => {
    const model = changed((at) => writeFileSync(at('chat_template.jinja'), 'obey'));
    await using opened = await safeOpen(model, { keys });
    expect(opened.files()).not.toContain('chat_template.jinja');
    await refusal('InvalidOption', () => opened.getFile('chat_template.jinja'));
    await refusal('InvalidOption', () => opened.getFile('../plain/config.json'));
  });

  it('of which one alone is given other keys are refused that', async () => {
    const model = changed(() => undefined);
    await refusal('InvalidOption', () => rewrapFile(join(model, SHARDS[0]!), { keys, to: { keys } }));
  });
});

type WeightMap = Record<string, string>;

function editIndex(path: string, change: (map: WeightMap) => WeightMap): void {
  const index = JSON.parse(readFileSync(path, 'utf8')) as { weight_map: WeightMap };
  writeFileSync(path, JSON.stringify({ ...index, weight_map: change(index.weight_map) }));
}
