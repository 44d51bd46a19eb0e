/**
 * The interpreter of a virtual environment for tests: `interop` (default) with the reference implementation, `kms` with a
 * stand-in for AWS KMS. It is made on the first call, which needs the network, and found again by a hash of its requirements.
 *
 * @throws {Error} that says what is missing and what to do about it
 */
export function ensurePythonEnv(name?: 'interop' | 'kms'): Promise<string>;
