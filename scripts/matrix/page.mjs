// docs/bundlers.md, from what the matrix found.

const INTRODUCTION = `# Bundlers, runtimes and package managers

Written by \`node scripts/matrix.mjs\`, which tries the packed tarball in empty folders without a compiler: each program opens an encrypted
file with a policy. *With* is the package as it is, *without* the same with the native addon taken away: then the portable engine serves,
and a notice on standard error (\`CRYPTOTENSORS_FALLBACK\`) says why and what to do.

In short: **leave \`cryptotensors\` external** where a bundler runs for a server; that always works. The code itself can be bundled, its
policy engine included; what has to travel by itself is the addon, a file \`prebuilds/cryptotensors.PLATFORM.node\` of the package.
\`require.resolve('cryptotensors/prebuilds/cryptotensors.linux-x64-gnu.node')\` finds it, and the environment variable
\`CRYPTOTENSORS_NATIVE\` names it where the program runs.
`;

/** @param {{ cell: import('./cells.mjs').Cell, with: { passed: boolean, words: string }, without: { passed: boolean, words: string } }[]} rows */
export function bundlersPage(rows) {
  const groups = [...new Set(rows.map(({ cell }) => cell.group))];
  const tables = groups.map((group) => {
    const lines = rows
      .filter(({ cell }) => cell.group === group)
      .map((row) => `| ${row.cell.name} | ${row.cell.how} | ${shown(row.with)} | ${shown(row.without)} |`);
    return `## ${group}\n\n| | how | with | without |\n|---|---|---|---|\n${lines.join('\n')}\n`;
  });
  const platform = `Run on ${process.platform} ${process.arch} with Node.js ${process.versions.node} where no other is named.`;
  return `${INTRODUCTION}\n${platform}\n\n${tables.join('\n')}`;
}

function shown({ passed, words }) {
  return passed ? words : `**fails**: ${words.replaceAll('|', '\\|').replaceAll('`', "'")}`;
}
