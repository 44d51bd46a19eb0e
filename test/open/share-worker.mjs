// Attaches to the model that it is sent, reads what it is asked for, says what it found.
import { parentPort } from 'node:worker_threads';
import { SafeFile } from 'cryptotensors';

parentPort.on('message', async ({ token, names }) => {
  try {
    const model = SafeFile.attach(token);
    const tensors = await model.getTensors({ names, shared: true });
    const slice = await model.getSlice('encoder.weight').read([2, 3]);
    await model.close();
    parentPort.postMessage({
      keys: model.keys(),
      encrypted: model.encrypted,
      tensors: [...tensors].map(([name, { bytes }]) => [name, bytes]),
      slice: slice.data,
    });
  } catch (error) {
    parentPort.postMessage({ code: error.code, message: String(error.message) });
  }
});
