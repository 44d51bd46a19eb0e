/**
 * The interpreter of a virtual environment that holds `test/interop/requirements.txt`. It is made on the first call, which
 * needs the network, and found again by a hash of that file.
 *
 * @throws {Error} that says what is missing and what to do about it
 */
export function ensurePythonEnv(): Promise<string>;
