// Opens a model, shares it, and ends as it is told to without closing it.
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { safeOpen } from 'cryptotensors';

/** In a function: what a module's top level has held stays alive. */
async function publish() {
  const model = await safeOpen(workerData.path, { keys: new URL(workerData.keys) });
  return model.share();
}

parentPort.postMessage(await publish());

parentPort.once('message', async (ending) => {
  if (ending === 'throw') throw new Error('as it was told to');
  if (ending === 'exit') process.exit(0);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  // Finalizers run in turns of the event loop of their own.
  for (let i = 0; i < 5; i++) {
    collect();
    await setTimeout(10);
  }
  parentPort.postMessage('let go');
  await setTimeout(1000);
});
