// docs/platforms.md, from what was built, checked and tried.

const INTRODUCTION = `# Platforms

Written by \`node scripts/prebuild.mjs --run\`, which builds the native addon for all of them on one Linux machine. *Checked* is what
\`scripts/prebuild/check.mjs\` looks up in every file: two exported functions, no symbols but those of Node-API and the system's libraries,
versions of these that are old enough, hardening, no paths of the machine that built it. *Tried* is what ran all test vectors with that
file. Where no addon loads, the portable engine serves, and says so.

Needed besides: Node.js 20.19 or later. x64 means any x86-64: faster code for AES-NI, AVX and the like is picked when the addon starts.
OpenSSL is not in the addon: where the host process exports its own (Node.js does, on Linux and macOS), its ciphers are measured against
\`ring\`, which is in the addon, and the faster one serves; elsewhere \`ring\` alone does.
`;

/** @param {{ target: { name: string }, facts?: { bytes: number, floor: string, needed: string[] }, tried: { on: string, passed: boolean, words: string }[] }[]} rows */
export function platformsPage(rows) {
  const lines = rows.map(({ target, facts, tried }) => {
    if (facts === undefined) return `| ${target.name} | not built | | | |`;
    const ran = tried.map(({ on, passed, words }) => `${on}: ${passed ? words : `**${words}**`}`).join('<br>');
    const size = `${(facts.bytes / 1e6).toFixed(2)} MB`;
    return `| ${target.name} | ${size}, checked | ${facts.floor} | ${facts.needed.join(', ') || 'none'} | ${ran || 'not run'} |`;
  });
  const head = '| platform | built | needs at least | libraries | tried |\n|---|---|---|---|---|';
  return `${INTRODUCTION}\n${head}\n${lines.join('\n')}\n`;
}
