// Attaches to the model that it is sent, and says which tensors it may read, and what becomes of reading each.
import { parentPort } from 'node:worker_threads';
import { SafeFile } from 'cryptotensors';

parentPort.on('message', async ({ token }) => {
  const model = SafeFile.attach(token);
  const read = {};
  for (const name of model.keys()) {
    read[name] = await model.getTensor(name).then(
      () => 'read',
      ({ code }) => code,
    );
  }
  const allowed = await model.allowedKeys();
  await model.close();
  parentPort.postMessage({ allowed, read });
});
