// @ts-check
// Uses keys as a program does, and says after each step where in its own memory they are: one line of JSON per step.
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { argv } from 'node:process';
import {
  cachedKeyProvider,
  directoryKeyProvider,
  loadKeys,
  loadKeysSync,
  safeOpen,
  safeOpenSync,
  saveFile,
} from 'cryptotensors';
import { scan } from './scan.mjs';

const [, , how, keys, model, target, needles, trust] =
  /** @type {[string, string, string, string, string, string, string, string]} */ (argv);
const report = (/** @type {string} */ step) => console.log(JSON.stringify({ step, hits: scan(JSON.parse(needles)) }));
const TENSORS = { x: { dtype: /** @type {const} */ ('U8'), shape: [4], data: new Uint8Array(4) } };

report('start');
const ways = {
  string: useString,
  sync: useSync,
  async: useAsync,
  'sync license': useLicenseSync,
  'async license': useLicense,
};
await ways[/** @type {keyof typeof ways} */ (how)]();

async function useString() {
  const kept = readFileSync(keys, 'latin1');
  report('loaded');
  await saveFile(TENSORS, target, { keys: JSON.parse(kept) });
}

async function useSync() {
  const ring = loadKeysSync(keys);
  report('loaded');
  const opened = safeOpenSync(model, { keys: ring });
  opened.getTensorsSync();
  report('used');
  await opened.close();
  ring.dispose();
  report('disposed');
}

async function useAsync() {
  const ring = await loadKeys(keys);
  report('loaded');
  const cached = cachedKeyProvider(directoryKeyProvider(dirname(keys)));
  const opened = [];
  for (const source of [ring, keys, cached]) opened.push(await safeOpen(model, { keys: source }));
  for (const file of opened) await file.getTensors();
  await saveFile(TENSORS, target, { keys: ring });
  report('used');
  for (const file of opened) await file.close();
  cached.dispose();
  ring.dispose();
  report('disposed');
}

/** With a customer's keys: `model` is a body, `target` the licence for it. */
function useLicenseSync() {
  const ring = loadKeysSync(keys);
  report('loaded');
  const opened = safeOpenSync(model, { keys: ring, trust, license: target });
  opened.getTensorsSync();
  report('used');
  return opened.close().then(() => {
    ring.dispose();
    report('disposed');
  });
}

async function useLicense() {
  const ring = await loadKeys(keys);
  report('loaded');
  const opened = [];
  for (const source of [ring, keys]) {
    opened.push(await safeOpen(model, { keys: source, trust, license: target }));
  }
  for (const file of opened) await file.getTensors();
  report('used');
  for (const file of opened) await file.close();
  ring.dispose();
  report('disposed');
}
