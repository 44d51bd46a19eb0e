/** From a plain file to an encrypted one. */
export function benchEncrypt(competition, label, model, target, rounds) {
  const { plain, keys, reference } = model;
  // What they write differs from run to run: keys and IVs are fresh.
  const write = (name, child, request) => ({
    name,
    child,
    disagrees: true,
    request: { path: plain, target, ...request },
  });
  const competitors = [
    write('cp (fs.copyFileSync)', 'auto', { do: 'copy' }),
    write('cp (coreutils)', 'auto', { do: 'cp' }),
    write('this library, encryptFile, without fsync as the others', 'auto', { do: 'encrypt', keys, durable: false }),
    write('this library, encryptFile, with fsync (the default)', 'auto', { do: 'encrypt', keys, durable: true }),
    write('reference (Python), save_file from memory', 'python', { do: 'save_reference', config: reference }),
  ]; // prettier-ignore
  return competition.run(`Encrypt ${label}`, competitors, { rounds });
}
