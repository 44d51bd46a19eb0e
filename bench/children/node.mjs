/**
 * The competitors that run in Node.js. Requests: {"do": name, "path": …, …}; answers: {"ms": …, "digest"?: …}.
 * With "digest": true the SHA-256 of the tensors' bytes in data order is computed after the clock has stopped.
 */
import { execFileSync } from 'node:child_process';
import { createDecipheriv, createHash } from 'node:crypto';
import { closeSync, copyFileSync, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { encryptFile, loadFile, safeOpen } from 'cryptotensors';

/** Memory that "recycled" reads use again and again, by path. @type {Map<string, Uint8Array>} */
const recycled = new Map();

const work = {
  /**
   * Takes, touches and gives back memory. A virtual machine gets its memory from the host page by page at the first touch, and
   * gives it back when it lies idle: without this, whoever comes first pays for all.
   */
  touch({ bytes }) {
    const pieces = [];
    for (let at = 0; at < bytes; at += 2 ** 31) pieces.push(new Uint8Array(Math.min(bytes - at, 2 ** 31)).fill(1));
    return () => undefined;
  },
  /** What people write today. */
  readSync({ path }) {
    const file = openSync(path, 'r');
    try {
      const { size } = fstatSync(file);
      // One Buffer up to 2 GiB; Node.js 20 makes none of more than 4 GiB.
      const pieces = [];
      for (let start = 0; start < size; start += 2 ** 31) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(size - start, 2 ** 31));
        for (let at = 0; at < buffer.length;) {
          at += readSync(file, buffer, at, Math.min(buffer.length - at, 2 ** 30), start + at);
        }
        pieces.push(buffer);
      }
      return () => sha256([dataSection(pieces[0]), ...pieces.slice(1)]);
    } finally {
      closeSync(file);
    }
  },
  async readFile({ path }) {
    const buffer = await readFile(path);
    return () => sha256([dataSection(buffer)]);
  },
  async load({ path, keys, threads }) {
    const tensors = await loadFile(path, { ...(keys && { keys }), ...(threads && { threads }) });
    return () => digestOf(tensors);
  },
  async recycle({ path, keys, threads }) {
    const options = { ...(keys && { keys }), ...(threads && { threads }) };
    const into = recycled.get(path);
    const tensors = await loadFile(path, { ...options, ...(into ? { into } : { shared: true }) });
    if (into === undefined) {
      // The library's own memory, aligned for huge pages, is what a server would reuse for its next model.
      const { buffer, byteOffset } = tensors.values().next().value.bytes;
      recycled.clear();
      recycled.set(path, new Uint8Array(buffer, byteOffset));
    }
    return () => digestOf(tensors);
  },
  /** AES-256-GCM as one would write it by hand: no header, the keys and tags given, one thread. */
  nodeCrypto({ path, key, chunkSize }) {
    const parts = [];
    const file = openSync(path, 'r');
    try {
      const { size } = fstatSync(file);
      const stride = chunkSize + 16;
      const buffer = Buffer.allocUnsafeSlow(stride);
      for (let at = 0, chunk = 0; at < size; at += stride, chunk++) {
        const length = readSync(file, buffer, 0, stride, at);
        const iv = Buffer.alloc(12);
        iv.writeUInt32BE(chunk, 8);
        const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv);
        decipher.setAuthTag(buffer.subarray(length - 16, length));
        parts.push(decipher.update(buffer.subarray(0, length - 16)), decipher.final());
      }
      return () => sha256(parts);
    } finally {
      closeSync(file);
    }
  },
  async slice({ path, keys, name, rows }) {
    const model = await cached(path, keys);
    const tensor = await model.getSlice(name).read(rows);
    return () => sha256([tensor.bytes]);
  },
  async open({ path, keys, name }) {
    const model = await safeOpen(path, { keys });
    const tensor = await model.getTensor(name);
    await model.close();
    return () => sha256([tensor.bytes]);
  },
  /** Small reads, all at once. */
  async burst({ path, keys, count }) {
    const model = await cached(path, keys);
    const names = model.offsetKeys();
    const reads = Array.from({ length: count }, (_, i) => model.getTensor(names[(i * 7919) % names.length]));
    const tensors = await Promise.all(reads);
    return () => tensors.filter(({ byteLength }) => byteLength > 0).length;
  },
  async encrypt({ path, target, keys, durable }) {
    await encryptFile(path, target, { keys, durable });
    return () => rmSync(target);
  },
  cp({ path, target }) {
    execFileSync('cp', [path, target]);
    return () => rmSync(target);
  },
  /** The event loop's delay while a load runs, and while nothing does, for as long. */
  async delay({ path, keys }) {
    const idle = await watch(() => setTimeout(400));
    const loading = await watch(() => loadFile(path, { keys }));
    return () => ({ idle, loading });
  },
  copy({ path, target }) {
    copyFileSync(path, target);
    return () => rmSync(target);
  },
};

/** Slices are measured on an open file, as a server has it. */
const open = new Map();
async function cached(path, keys) {
  if (!open.has(path)) open.set(path, await safeOpen(path, { keys }));
  return open.get(path);
}

async function watch(run) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await run();
  delay.disable();
  return { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 };
}

function digestOf(tensors) {
  return sha256([...tensors.values()].map(({ bytes }) => bytes));
}

function dataSection(buffer) {
  return buffer.subarray(8 + Number(buffer.readBigUInt64LE(0)));
}

function sha256(parts) {
  const hash = createHash('sha256');
  for (const part of parts)
    for (let at = 0; at < part.byteLength; at += 2 ** 30) hash.update(part.subarray(at, at + 2 ** 30));
  return hash.digest('hex');
}

/** One request. A function of its own, so that nothing of it is alive when the garbage collector is called. */
async function answer(request) {
  try {
    const start = performance.now();
    const finish = await work[request.do](request);
    const ms = performance.now() - start;
    // Digests cost more than loads: computed only where they are asked for, off the clock.
    const digest = request.digest || request.target ? finish() : undefined;
    return { ms, ...(request.digest && { digest }) };
  } catch (error) {
    return { error: String(error?.stack ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const text = JSON.stringify(await answer(JSON.parse(line)));
  // The last buffer is gone before the next measurement begins; twice, because the first may only mark it.
  globalThis.gc?.();
  globalThis.gc?.();
  process.stdout.write(`${text}\n`);
}
