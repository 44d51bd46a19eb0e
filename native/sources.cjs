// The C++ files of the addon, for whoever builds it: binding.gyp (which runs this) and scripts/prebuild.mjs (which requires it).
const { readdirSync } = require('node:fs');
const { join } = require('node:path');

/** By path from the root of the repository, with forward slashes everywhere. */
const sources = ['core', 'binding'].flatMap((folder) =>
  readdirSync(join(__dirname, folder))
    .filter((file) => file.endsWith('.cc'))
    .sort()
    .map((file) => `native/${folder}/${file}`),
);

/** The two functions by which Node.js knows an addon; it exports nothing else. */
const exported = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

module.exports = { sources, exported };

if (require.main === module) console.log(sources.join(' '));
