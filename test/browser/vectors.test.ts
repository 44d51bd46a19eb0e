import { describe, expect, it } from 'vitest';
import { bundle, hasChromium, runHere, runInChromium } from '../../scripts/browser-vectors.mjs';

/** 12 of the policies refuse, as those of `test/vectors/vectors.json` that the reference refuses. */
const ALL_RIGHT = { valid: 183, bad: 1173, denied: 12, wrong: [] };

describe('format, policies and the portable engine on Web Crypto, as one module', () => {
  it('import nothing, and ask for nothing that only Node.js has', async () => {
    const code = await bundle();
    // What Node.js has is asked for by name, and done without.
    for (const line of code
      .split('\n')
      .filter((text) => /["']node:|\b(Buffer|process)\.|\bsetImmediate\(/.test(text))) {
      expect(line).toMatch(
        /builtinModule\(["']node:|process\?\.|Buffer === (void 0|undefined) \?|new Promise\(\(resolve\) => setImmediate\(resolve\)\)/,
      );
    }
  });

  it('answer every vector in this process', async () => {
    expect(await runHere()).toEqual(ALL_RIGHT);
  });

  // In CI it fails where there is no Chromium.
  it.skipIf(!hasChromium() && process.env.CI === undefined)(
    'answer every vector in headless Chromium',
    { timeout: 300_000 },
    async () => {
      expect(await runInChromium()).toEqual(ALL_RIGHT);
    },
  );
});
