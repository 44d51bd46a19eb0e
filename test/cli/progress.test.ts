import { Writable } from 'node:stream';
import { afterEach, expect, it, vi } from 'vitest';
import { DELAY_MS, ProgressBar, wantsProgress } from '#dist/cli/progress.js';

afterEach(() => {
  vi.restoreAllMocks();
});

/** A terminal that remembers what was written to it. */
function fakeTerminal(isTTY: boolean): { stream: NodeJS.WriteStream; written: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return {
    stream: Object.assign(stream, { isTTY, columns: 80 }) as unknown as NodeJS.WriteStream,
    written: () => text,
  };
}

function clock(): { advance: (milliseconds: number) => void } {
  let now = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  return { advance: (milliseconds) => (now += milliseconds) };
}

it('is wanted on a terminal only, and not with --quiet', () => {
  expect(wantsProgress({ isTerminal: true, quiet: false })).toBe(true);
  expect(wantsProgress({ isTerminal: true, quiet: true })).toBe(false);
  expect(wantsProgress({ isTerminal: false, quiet: false })).toBe(false);
});

it('appears once the work has taken half a second', () => {
  const time = clock();
  const { stream, written } = fakeTerminal(true);
  const progress = new ProgressBar('encrypting', false, stream);
  time.advance(DELAY_MS - 1);
  progress.report(1_000_000, 4_000_000);
  expect(written()).toBe('');
  time.advance(1);
  progress.report(2_000_000, 4_000_000);
  progress.stop();
  expect(written()).toContain('encrypting [');
  expect(written()).toContain('50% | 2.0 MB of 4.0 MB');
});

it('does not appear for work that is done by then', () => {
  const time = clock();
  const { stream, written } = fakeTerminal(true);
  const progress = new ProgressBar('encrypting', false, stream);
  time.advance(DELAY_MS * 2);
  progress.report(4_000_000, 4_000_000);
  progress.stop();
  expect(written()).toBe('');
});

it.each([
  { isTTY: false, quiet: false },
  { isTTY: true, quiet: true },
])('stays away with %j', ({ isTTY, quiet }) => {
  const time = clock();
  const { stream, written } = fakeTerminal(isTTY);
  const progress = new ProgressBar('encrypting', quiet, stream);
  time.advance(DELAY_MS * 2);
  progress.report(1, 4);
  progress.report(2, 4);
  progress.stop();
  expect(written()).toBe('');
});
