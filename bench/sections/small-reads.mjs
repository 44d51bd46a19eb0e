/** Many small concurrent reads of one open file: all are answered, and memory stays where it is. */
import { formatBytes } from '../statistics.mjs';

const BURST = 10_000;

export async function benchSmallReads(start, { path, keys }, bursts) {
  const child = start();
  const title = `Bursts of ${BURST} concurrent small reads`;
  const memory = [];
  for (let i = 0; i < bursts; i++) {
    const { digest } = await child.ask({ do: 'burst', path, keys, count: BURST, digest: true });
    if (digest !== BURST) throw new Error(`${title}: ${digest} were answered`);
    memory.push(child.memory().now);
  }
  await child.close();
  // The first bursts fill the runtime's own pools.
  const settled = memory[Math.min(2, memory.length - 1)];
  const growth = memory.at(-1) - settled;
  console.log(`\n${title}`);
  console.log(`  ${bursts} bursts, all answered; memory from ${formatBytes(settled)} to ${formatBytes(memory.at(-1))}`);
  return { title, bursts, memory, growth };
}
