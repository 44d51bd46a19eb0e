/** Opening a file of very many small tensors, and reading one. */
export function benchOpen(competition, { path, keys, name, count }, rounds) {
  const competitors = [
    { name: 'reference (Python)', child: 'python', request: { do: 'open_reference', path, name } },
    { name: 'this library', child: 'auto', request: { do: 'open', path, keys, name } },
  ];
  return competition.run(`Open ${count} encrypted tensors and read one`, competitors, { rounds });
}
