import { describe, expect, it } from 'vitest';
import { bundle, hasChromium, runHere, runInChromium } from '../../scripts/browser-vectors.mjs';

const ALL_RIGHT = { valid: 183, bad: 1173, wrong: [] };

describe('format and the portable engine on Web Crypto, as one module', () => {
  it('import nothing, and ask for nothing that only Node.js has', async () => {
    const code = await bundle();
    expect(code).not.toMatch(/["']node:/);
    expect(code).not.toMatch(/\bBuffer\.(from|alloc|concat|compare)|\bprocess\.(env|versions|platform)/);
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
