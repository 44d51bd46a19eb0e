import { describe, expect, test } from 'vitest';
import { OPERATION_NAMES, race } from '../../scripts/race-writes.mjs';

/** Tries of each operation: as many as the attack needed at the most, times ten. The script itself makes 10,000. */
const TRIES = 150;

describe.skipIf(process.getuid?.() !== 0 || process.platform === 'win32')(
  'root that writes into another user’s folder',
  () => {
    test.each(OPERATION_NAMES)(
      'changes nothing outside it, whatever he puts there meanwhile: %s',
      { timeout: 120_000 },
      async (operation) => {
        const { changed, tries, attacks } = await race(operation, TRIES);
        expect(changed).toEqual([]);
        expect(tries).toBeGreaterThanOrEqual(TRIES);
        expect(attacks).toBeGreaterThan(TRIES / 10);
      },
    );
  },
);
