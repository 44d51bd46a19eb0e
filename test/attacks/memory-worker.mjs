// Works on memory, over and over, until it is terminated in the middle of it; or maps a plain model, posts what it mapped, and ends.
import { parentPort, workerData } from 'node:worker_threads';
import { load, safeOpen, save, verifyFile, wipeTensors } from 'cryptotensors';

const { work, path, keys: keysPath, shared } = workerData;
const keys = new URL(keysPath);

const WORK = {
  'safeOpen(bytes), getTensors': async (bytes) => {
    const model = await safeOpen(bytes(), { keys });
    await model.getTensors().finally(() => model.close());
  },
  'load with transfer': async (bytes) => {
    await load(bytes(), { keys, transfer: true });
  },
  'verifyFile(bytes)': async (bytes) => {
    await verifyFile(bytes(), { keys });
  },
  'getTensors into': async (_, model) => {
    await model.getTensors({ into: new Uint8Array(4 * 2 ** 20) });
  },
  'getTensors into shared memory': async (_, model) => {
    await model.getTensors({ into: shared });
  },
  'a slice': async (_, model) => {
    await model.getSlice('a').read([1, 100_000]);
  },
  save: async () => {
    await save({ a: { dtype: 'U8', shape: [shared.byteLength], data: new Uint8Array(shared.byteLength) } }, { keys });
  },
  wipeTensors: async (_, model) => {
    await wipeTensors(await model.getTensors());
  },
};

if (work === 'map') {
  const model = await safeOpen(path);
  const { buffer } = (await model.getTensor('a', { map: true })).bytes;
  // Node.js 20 has no `transfer`, and copies what is marked as untransferable; 22 and later move it by `transfer` all the same.
  const moved = buffer.transfer?.() ?? buffer;
  parentPort.postMessage(moved, [moved]);
} else {
  const model = await safeOpen(path, { keys });
  const { bytes } = workerData;
  parentPort.postMessage('begins');
  // Reads that decrypt into one place would spoil each other's.
  const atOnce = work === 'getTensors into shared memory' ? [1] : [1, 2, 3];
  for (;;) await Promise.all(atOnce.map(() => WORK[work](() => bytes.slice(), model)));
}
