import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { saveFileSync } from '#dist/index.js';
import type { TensorsInput } from '#dist/index.js';

export const MAIN = fileURLToPath(import.meta.resolve('#dist/cli/main.js'));

export interface CliResult {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Called once the process runs. */
  onStart?: (child: ChildProcess) => void;
}

/** Runs the built command line as a user would: another process, its standard streams pipes. */
export async function cli(args: readonly string[], { cwd, env, onStart }: CliOptions = {}): Promise<CliResult> {
  const inherited = { ...process.env };
  delete inherited.CRYPTOTENSOR_KEYS;
  delete inherited.CRYPTOTENSORS_DEBUG;
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...inherited, ...env }, timeout: 60_000 });
  onStart?.(child);
  const streams = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (streams[name] += text));
  }
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { exitCode, ...streams };
}

/** The one JSON document on standard output; fails if there is anything else. */
export function document(result: CliResult): Record<string, unknown> {
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

/** The one entry of `files` in the document of a command that takes several. */
export function fileOf(result: CliResult): Record<string, unknown> {
  const files = document(result).files as Record<string, unknown>[];
  if (files.length !== 1) throw new Error(`${files.length} files, not one`);
  return files[0]!;
}

/** The `error` of a `--json` failure. */
export function errorOf(result: CliResult): { code: string; message: string } & Record<string, unknown> {
  return document(result).error as { code: string; message: string };
}

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-cli-'));
  folders.push(folder);
  return folder;
}

export function sampleTensors(): Record<string, { shape: number[]; data: Float32Array | BigInt64Array }> {
  return {
    'encoder.0.weight': { shape: [64, 32], data: Float32Array.from({ length: 2048 }, (_, i) => i / 7) },
    'encoder.0.bias': { shape: [64], data: Float32Array.from({ length: 64 }, (_, i) => -i) },
    position_ids: { shape: [1, 16], data: BigInt64Array.from({ length: 16 }, (_, i) => BigInt(i)) },
  };
}

/** A folder with `plain.safetensors` and `keys.json`, `public.json` in it. */
export async function workspace(tensors: TensorsInput = sampleTensors()): Promise<string> {
  const folder = temporaryFolder();
  saveFileSync(tensors, join(folder, 'plain.safetensors'), { metadata: { format: 'pt' } });
  const made = await cli(['keygen', '-o', 'keys.json', '--public', 'public.json'], { cwd: folder });
  if (made.exitCode !== 0) throw new Error(`keygen failed: ${made.stderr}`);
  return folder;
}

/** The same, with `model.ct.safetensors` encrypted from it. */
export async function encryptedWorkspace(options: readonly string[] = [], tensors?: TensorsInput): Promise<string> {
  const folder = await workspace(tensors);
  const made = await cli(['encrypt', 'plain.safetensors', 'model.ct.safetensors', '--keys', 'keys.json', ...options], {
    cwd: folder,
  });
  if (made.exitCode !== 0) throw new Error(`encrypt failed: ${made.stderr}`);
  return folder;
}

interface JwkSetFile {
  keys: Record<string, string>[];
}

export function readJwks(path: string): JwkSetFile {
  return JSON.parse(readFileSync(path, 'utf8')) as JwkSetFile;
}
