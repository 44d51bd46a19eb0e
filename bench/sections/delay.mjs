/** The event loop's delay during an asynchronous load, against that of a process that does nothing. */
import { summary } from '../statistics.mjs';

export async function benchDelay(children, label, { encrypted, keys }, rounds) {
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    samples.push((await children.auto.ask({ do: 'delay', path: encrypted, keys, digest: true })).digest);
  }
  const of = (phase, field) => summary(samples.map((sample) => sample[phase][field]));
  const delay = {
    idle: { p99: of('idle', 'p99'), max: of('idle', 'max') },
    loading: { p99: of('loading', 'p99'), max: of('loading', 'max') },
  };
  const title = `Delay of the event loop during a ${label} encrypted load, in ms`;
  console.log(`\n${title}`);
  for (const [phase, { p99, max }] of Object.entries(delay)) {
    console.log(
      `  ${phase.padEnd(8)} p99 ${p99.median.toFixed(2)} (to ${p99.high.toFixed(2)}), worst ${max.median.toFixed(2)} (to ${max.high.toFixed(2)})`,
    );
  }
  return { title, delay };
}
