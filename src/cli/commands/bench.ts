import type { Command } from 'commander';
import { engineInfo, loadFile } from '../../index.js';
import type { AeadAlgorithm, EngineInfo } from '../../index.js';
import { usageError } from '../cli-error.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOpenFlags, addOutputFlags, openOptions } from '../flags.js';
import type { OpenFlags } from '../flags.js';
import { interruptible } from '../interrupt.js';
import { Output } from '../output.js';
import { formatBytes } from '../sizes.js';
import { formatTable } from '../table.js';
import { visibleName } from '../terminal-text.js';

type BenchFlags = OpenFlags & Flags<'rounds'>;

const DEFAULT_ROUNDS = 7;

export function addBenchCommand(program: Command): void {
  const command = program
    .command('bench')
    .summary('show which ciphers this machine uses, and how fast a file loads')
    .description(
      'Shows the engine of this process and, per algorithm, which AEAD implementation was chosen and how fast each one ' +
        'was in the short measurement that decided (CRYPTOTENSORS_ENGINE=openssl|ring|portable decides by hand). With a ' +
        'file: loads all of it a few times into memory and shows the median.',
    )
    .argument('[file]', 'file to load, or the *.safetensors.index.json of a sharded model');
  addFlags(addOpenFlags(command), { rounds: true });
  addOutputFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors bench
  cryptotensors bench model.ct.safetensors --keys keys.json
  cryptotensors bench model.safetensors.index.json -k keys.json --rounds 3 --json
${EXIT_CODE_HELP}`,
    )
    .action(bench);
}

async function bench(path: string | undefined, flags: BenchFlags): Promise<void> {
  const output = new Output(flags);
  const engine = engineInfo();
  const load = path === undefined ? null : await measure(path, flags);
  output.result({ engine, load }, [...describeEngine(engine), ...(load === null ? [] : ['', describeLoad(load)])]);
}

interface Load {
  path: string;
  bytes: number;
  rounds: number;
  medianMs: number;
  fastestMs: number;
  slowestMs: number;
}

async function measure(path: string, flags: BenchFlags): Promise<Load> {
  const options = openOptions(flags);
  const rounds = flags.rounds ?? DEFAULT_ROUNDS;
  if (rounds < 1) throw usageError('--rounds must be a whole number from 1');
  const times: number[] = [];
  let bytes = 0;
  await interruptible(async (signal) => {
    for (let round = 0; round <= rounds; round++) {
      const start = performance.now();
      const tensors = await loadFile(path, { ...options, signal });
      // The first load fills the system's cache and warms everything else up.
      if (round > 0) times.push(performance.now() - start);
      bytes = 0;
      for (const tensor of tensors.values()) {
        bytes += tensor.byteLength;
        tensor.dispose();
      }
    }
  });
  times.sort((a, b) => a - b);
  return {
    path,
    bytes,
    rounds,
    medianMs: times[times.length >> 1]!,
    fastestMs: times[0]!,
    slowestMs: times.at(-1)!,
  };
}

function describeEngine({ engine, aead, measured, openssl, ring, blake3, threads }: EngineInfo): string[] {
  const speed = (algorithm: AeadAlgorithm, provider: 'openssl' | 'ring'): string => {
    const found = measured[algorithm]?.[provider];
    return found === undefined ? '' : `${found.toFixed(1)} GB/s`;
  };
  const rows = (Object.keys(aead) as AeadAlgorithm[]).map((algorithm) => [
    algorithm,
    aead[algorithm],
    speed(algorithm, 'openssl'),
    speed(algorithm, 'ring'),
  ]);
  return [
    `engine: ${engine}, ${threads} threads; ${openssl ?? 'no OpenSSL in this process'}; ring ${ring}; blake3 ${blake3}`,
    '',
    ...formatTable(
      [
        { title: 'algorithm' },
        { title: 'uses' },
        { title: 'openssl', align: 'right' },
        { title: 'ring', align: 'right' },
      ],
      rows,
    ),
  ];
}

function describeLoad({ path, bytes, rounds, medianMs, fastestMs, slowestMs }: Load): string {
  const rate = (bytes / 1e6 / medianMs).toFixed(2);
  return (
    `${visibleName(path)}: ${formatBytes(bytes)} loaded in ${medianMs.toFixed(1)} ms, ${rate} GB/s ` +
    `(median of ${rounds}, ${fastestMs.toFixed(1)} to ${slowestMs.toFixed(1)} ms)`
  );
}
