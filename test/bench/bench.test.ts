import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

interface Row {
  name: string;
  times: number[];
}
interface Result {
  title: string;
  agreed?: number;
  rows?: Row[];
}

/** What a benchmark says is worth something only if its competitors did the same work: here that is checked, not how fast. */
it('has every competitor give the same bytes', async () => {
  const out = await mkdtemp(join(tmpdir(), 'cryptotensors-test-'));
  try {
    await run(process.execPath, [join(root, 'bench/run.mjs'), '--quick', '--out', out], { timeout: 280_000 });
    const { results } = JSON.parse(await readFile(join(out, 'results.json'), 'utf8')) as { results: Result[] };
    const agreed = new Map(results.map(({ title, agreed }) => [title, agreed]));
    expect(agreed.get('Load 1 MiB')).toBe(15);
    expect(agreed.get('Load 8 MiB')).toBe(15);
    expect(agreed.get('Load 8 MiB from the disk')).toBe(4);
    expect(agreed.get('Open 2000 encrypted tensors and read one')).toBe(2);
    expect([...agreed.keys()].filter((title) => title.startsWith('Load all-MiniLM'))).toHaveLength(1);
    expect([...agreed.keys()]).toContain('Bursts of 10000 concurrent small reads');
    for (const { rows = [] } of results) for (const { times } of rows) expect(times).toHaveLength(2);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}, 300_000);

it('stops when a competitor gives other bytes', async () => {
  const script = `
    import { Competition } from ${JSON.stringify(new URL('../../bench/competition.mjs', import.meta.url).href)};
    const child = (digest) => ({ ask: async () => ({ ms: 1, digest }), resetPeak() {}, memory: () => ({ peak: 0, now: 0 }) });
    const rivals = ['a', 'b'].map((name) => ({ name, child: name, request: {} }));
    await new Competition({ a: child('1'), b: child('2') }, null).run('A race', rivals, { rounds: 1 });`;
  await expect(run(process.execPath, ['--input-type=module', '-e', script])).rejects.toThrow(
    /A race: the competitors do not agree:\n1 a\n2 b/,
  );
});
