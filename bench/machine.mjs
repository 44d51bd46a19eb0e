import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { engineInfo } from 'cryptotensors';
import { formatBytes } from './statistics.mjs';

/** What the figures depend on, and nothing that names a machine. */
export function describeMachine() {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    threads: availableParallelism(),
    memory: formatBytes(totalmem()),
    node: process.version,
    openssl: process.versions.openssl,
    cryptotensors: version,
    engine: engineInfo(),
  };
}
