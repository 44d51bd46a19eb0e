/**
 * Peak memory, read by the kernel's count from outside, of processes that have done nothing of the kind before: one that has
 * loaded models already has memory in hand.
 */
import { formatBytes } from '../statistics.mjs';

/**
 * @param {() => import('../child.mjs').Child} start
 * @param {string} label
 * @param {{ plain: string, encrypted: string, keys: string, bytes: number }} model
 * @param {{ encrypted: string, keys: string, plain: string }} warmUp a small model: modules, code and the addon are not counted
 * @param {string} target
 */
export async function benchPeak(start, label, model, warmUp, target) {
  const { plain, encrypted, keys, bytes } = model;
  const load = (paths) => ({ do: 'load', path: paths.encrypted, keys: paths.keys });
  const encrypt = (paths) => ({ do: 'encrypt', path: paths.plain, target, keys: paths.keys, durable: false });
  const measured = [
    { name: 'loadFile, encrypted, above its destination', request: load, destination: bytes, paths: { encrypted, keys } },
    { name: 'encryptFile', request: encrypt, destination: 0, paths: { plain, keys } },
  ]; // prettier-ignore
  const title = `Peak memory, ${label}`;
  console.log(`\n${title}`);
  const peaks = [];
  for (const { name, request, destination, paths } of measured) {
    const child = start();
    await child.ask(request(warmUp));
    const before = child.memory().now;
    child.resetPeak();
    await child.ask(request(paths));
    const peakBytes = child.memory().peak - before - destination;
    await child.close();
    peaks.push({ name, peakBytes });
    console.log(`  ${name.padEnd(44)} ${peakBytes < 0 ? '-' : ''}${formatBytes(Math.abs(peakBytes))}`);
  }
  return { title, peaks };
}
