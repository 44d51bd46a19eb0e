/*
 * Addons are loaded by `require`, which ES modules do not have. This one is CommonJS, so that there is one wherever the library
 * runs: bundled, in Jest, in a vm context. Each path is a literal, which is what bundlers and file tracers can follow.
 */

/** Where a build from source leaves the addon, as seen from dist/engine. */
function fromSource(): unknown {
  return require('../../build/Release/cryptotensors.node');
}

/** The optional dependencies, one per platform. */
const prebuilt: Readonly<Record<string, () => unknown>> = {
  'cryptotensors-linux-x64-gnu': () => require('cryptotensors-linux-x64-gnu') as unknown,
  'cryptotensors-linux-x64-musl': () => require('cryptotensors-linux-x64-musl') as unknown,
  'cryptotensors-linux-arm64-gnu': () => require('cryptotensors-linux-arm64-gnu') as unknown,
  'cryptotensors-linux-arm64-musl': () => require('cryptotensors-linux-arm64-musl') as unknown,
  'cryptotensors-darwin-x64': () => require('cryptotensors-darwin-x64') as unknown,
  'cryptotensors-darwin-arm64': () => require('cryptotensors-darwin-arm64') as unknown,
  'cryptotensors-win32-x64-msvc': () => require('cryptotensors-win32-x64-msvc') as unknown,
  'cryptotensors-win32-arm64-msvc': () => require('cryptotensors-win32-arm64-msvc') as unknown,
};

export = { fromSource, prebuilt };
