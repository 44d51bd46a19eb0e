/** Part of one tensor of an open file, as a server with a large vocabulary reads it. */
export function benchSlice(competition, { encrypted, keys }, rounds) {
  const slice = { path: encrypted, name: 'w0', rows: [512, 640] };
  const competitors = [
    { name: 'reference (Python)', child: 'python', request: { do: 'slice_reference', ...slice } },
    { name: 'this library', child: 'auto', request: { do: 'slice', keys, ...slice } },
  ];
  return competition.run('Read 128 rows of an encrypted 16 MiB tensor', competitors, { rounds });
}
