// Bundles format, policies and the portable engine on Web Crypto, and runs the vectors on the bundle: in headless Chromium, or in this process.
// Usage, after npm run build: node scripts/browser-vectors.mjs [chromium|here]
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const root = join(import.meta.dirname, '..');
const VECTORS = join(root, 'test/vectors');
const DEADLINE_MS = 240_000;
/** A page that runs the vectors and sends back what came of them. */
const PAGE = `<!doctype html><script type="module">
  const send = (outcome) => fetch('/outcome', { method: 'POST', body: JSON.stringify(outcome) });
  try {
    const { runVectors } = await import('/bundle.js');
    await send(await runVectors(async (file) => new Uint8Array(await (await fetch('/vectors/' + file)).arrayBuffer())));
  } catch (error) {
    await send({ valid: 0, bad: 0, denied: 0, wrong: [String(error)] });
  }
</script>`;

/** The text of one module that imports nothing. */
export async function bundle() {
  const build = await rolldown({
    input: join(root, 'test/browser/run-vectors.ts'),
    platform: 'browser',
    // What could only be had at run time is an error, as it would be in a browser.
    onLog(level, log) {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  const { output } = await build.generate({ format: 'esm' });
  await build.close();
  const [chunk, ...others] = output;
  const imports = [...chunk.imports, ...chunk.dynamicImports];
  if (others.length > 0 || imports.length > 0) throw new Error(`the bundle imports ${imports.join(', ')}`);
  return chunk.code;
}

export function hasChromium() {
  return spawnSync('chromium', ['--version']).status === 0;
}

/** In this process, for runtimes that have Web Crypto. */
export async function runHere() {
  const folder = await mkdtemp(join(tmpdir(), 'cryptotensors-bundle-'));
  try {
    const file = join(folder, 'bundle.mjs');
    await writeFile(file, await bundle());
    const { runVectors } = await import(pathToFileURL(file).href);
    return await runVectors(async (name) => new Uint8Array(readFileSync(join(VECTORS, name))));
  } finally {
    await rm(folder, { recursive: true });
  }
}

export async function runInChromium() {
  const code = await bundle();
  const profile = await mkdtemp(join(tmpdir(), 'cryptotensors-chromium-'));
  const { promise, resolve } = Promise.withResolvers ? Promise.withResolvers() : withResolvers();
  const server = createServer((request, response) => void answer(request, response, code, resolve));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const flags = [
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking',
    '--disable-component-update --disable-sync --disable-dev-shm-usage',
  ];
  const browser = spawn(
    'chromium',
    [...flags.join(' ').split(' '), `--user-data-dir=${profile}`, `http://127.0.0.1:${server.address().port}/`],
    { stdio: 'ignore' },
  );
  const ended = new Promise((exit) => browser.once('exit', exit));
  let timer;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('Chromium has not answered in time')), DEADLINE_MS);
    });
    const gone = ended.then((status) => Promise.reject(new Error(`Chromium ended with ${status} before it answered`)));
    return await Promise.race([promise, late, gone]);
  } finally {
    clearTimeout(timer);
    browser.kill();
    await ended;
    server.closeAllConnections();
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}

async function answer(request, response, code, settle) {
  const { pathname } = new URL(request.url, 'http://localhost');
  try {
    if (pathname === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
    if (pathname === '/bundle.js') return response.setHeader('content-type', 'text/javascript').end(code);
    if (pathname === '/outcome') {
      const parts = [];
      for await (const part of request) parts.push(part);
      response.end();
      return settle(JSON.parse(Buffer.concat(parts).toString()));
    }
    const file = decodeURIComponent(pathname.slice('/vectors/'.length));
    if (file.includes('/')) return response.writeHead(404).end();
    response.end(await readFile(join(VECTORS, file)));
  } catch {
    response.writeHead(404).end();
  }
}

if (process.argv[1] === import.meta.filename) {
  const { valid, bad, denied, wrong } = await (process.argv[2] === 'here' ? runHere() : runInChromium());
  for (const problem of wrong) console.log(problem);
  console.log(
    `${valid} valid (${denied} denied by their policies) and ${bad} bad files, ${wrong.length} answers wrong`,
  );
  process.exitCode = wrong.length > 0 || valid === 0 ? 1 : 0;
}
