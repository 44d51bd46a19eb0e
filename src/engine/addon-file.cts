/*
 * Addons are loaded by `require`, which ES modules do not have. This one is CommonJS, so that there is one wherever the library
 * runs: bundled, in Jest, in a vm context. Each path of what the package brings is a literal, which is what bundlers, file tracers
 * and compilers of single executables can follow. It requires nothing else: what bundlers make of this in ES modules could not.
 */
/** An addon, or why it does not load. */
type Outcome = { loaded: true; addon: unknown } | { loaded: false; cause: unknown };

/**
 * What the package brings for a platform; the names are those of scripts/prebuild/targets.mjs. All within one `try`: a bundler takes
 * that for leave to go on where a file is not there, as in a package that was built for some platforms only.
 *
 * @returns undefined for a platform that the package has nothing for
 */
function prebuilt(platform: string): Outcome | undefined {
  try {
    switch (platform) {
      case 'linux-x64-gnu':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.linux-x64-gnu.node') as unknown };
      case 'linux-x64-musl':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.linux-x64-musl.node') as unknown };
      case 'linux-arm64-gnu':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.linux-arm64-gnu.node') as unknown };
      case 'linux-arm64-musl':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.linux-arm64-musl.node') as unknown };
      case 'darwin-x64':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.darwin-x64.node') as unknown };
      case 'darwin-arm64':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.darwin-arm64.node') as unknown };
      case 'win32-x64-msvc':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.win32-x64-msvc.node') as unknown };
      case 'win32-arm64-msvc':
        return { loaded: true, addon: require('../../prebuilds/cryptotensors.win32-arm64-msvc.node') as unknown };
      default:
        return undefined;
    }
  } catch (cause) {
    return { loaded: false, cause };
  }
}

/** For paths that are no literals. A bundler's `require` knows nothing of them; this call is the runtime's own. */
function open(file: string): unknown {
  const target = { exports: {} as unknown };
  process.dlopen(target, file);
  return target.exports;
}

/** Where this file lies; in a bundle, where the bundle does. Bundles of ES modules have no such name. */
const folder: string | undefined = typeof __dirname === 'undefined' ? undefined : __dirname;

export = { prebuilt, open, folder };
