/**
 * What the runtime tells of itself. Browsers have no `process`, and bundlers put one in its place that has little in it, so
 * nothing of it is taken for granted.
 */
const { process }: { process?: Partial<NodeJS.Process> } = globalThis;

/** The facts of this process and its machine; empty texts where nobody can tell. */
export function describeHost(): { platform: string; arch: string; hostname: string } {
  return {
    platform: process?.platform ?? 'browser',
    arch: process?.arch ?? '',
    hostname: builtinModule('node:os')?.hostname() ?? '',
  };
}

export function describeRuntime(): { name: string; version: string } {
  const versions: Partial<Record<string, string>> = process?.versions ?? {};
  // Bun and Deno also claim to be Node.
  const name = ['bun', 'deno', 'node'].find((runtime) => versions[runtime] !== undefined);
  return name === undefined ? { name: 'browser', version: '' } : { name, version: versions[name]! };
}

/** An environment variable, if it is set. */
export function environmentVariable(name: string): string | undefined {
  const env = process?.env ?? {};
  return Object.hasOwn(env, name) ? env[name] : undefined;
}

/** A module of Node.js, where there is one: by name, so that bundles for browsers have nothing to resolve. */
export function builtinModule<Name extends 'node:crypto' | 'node:fs' | 'node:os' | 'node:zlib'>(
  name: Name,
): ReturnType<typeof globalThis.process.getBuiltinModule<Name>> | undefined {
  return process?.getBuiltinModule?.(name);
}

export function warn(message: string, options: { type: string; code: string; detail: string }): void {
  if (process?.emitWarning !== undefined) process.emitWarning(message, options);
  // eslint-disable-next-line no-console -- where warnings go in a browser
  else console.warn(`${options.type}: ${message}. ${options.detail}`);
}
