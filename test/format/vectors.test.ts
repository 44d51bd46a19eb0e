import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#dist/format/json.js';
import { scanRecords } from '#dist/format/records.js';
import { thrownBy } from '../support/errors.js';
import { encryptedTensors, entriesOf, openHeader, openVector, plain, recordTexts, text } from './vectors.js';

/** Larger ones as bigint, as the exact parser of the vectors gives them. */
function exact(value: bigint): number | bigint {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

describe('every valid file', () => {
  const entries = entriesOf('vectors.json', 'vectors');

  it.each(entries.map((entry) => [text(entry, 'file'), entry]))(
    '%s: names, dtypes, shapes, offsets, metadata',
    (file, entry) => {
      const expected = entry.get('expected') as JsonObject;
      const header = openHeader(file);
      const tensors = header.names.map((name, i) => ({
        name,
        dtype: header.dtype(i),
        shape: header.exactShape(i).map(exact),
        data_offsets: [header.begin[i], header.end[i]],
      }));
      const listed = (expected.get('tensors') as JsonObject[]).map((tensor) => ({
        name: tensor.get('name'),
        dtype: tensor.get('dtype'),
        shape: tensor.get('shape'),
        data_offsets: tensor.get('data_offsets'),
      }));
      expect(tensors).toEqual(listed);
      expect(header.names.map((name) => header.indexOf(name))).toEqual(header.names.map((_, i) => i));

      const pairs = header.metadata === null ? null : [...header.metadata];
      const user = expected.get('metadata') as JsonObject | null;
      expect(pairs && new Map(pairs.filter(([key]) => !key.startsWith('__')))).toEqual(user);
      const reserved = (pairs ?? []).map(([key]) => key).filter((key) => key.startsWith('__'));
      expect(reserved.sort()).toEqual(expected.get('reserved_metadata'));
    },
  );

  const encrypted = entries.filter((entry) => (entry.get('expected') as JsonObject).get('encrypted') === true);

  it.each(encrypted.map((entry) => [text(entry, 'file'), entry]))(
    '%s: signature, keys, policy, records',
    (file, entry) => {
      const expected = plain(entry.get('expected')) as Record<string, unknown>;
      const opened = openVector(file, entry.get('keys'));
      if (typeof opened === 'string') expect.fail(opened);
      const { header, keys, policy, records, integrity } = opened;
      expect({
        version: String(keys.version),
        chunk_size: keys.version === 1 ? null : exact(keys.exactChunkSize),
        algorithm: keys.enc.algorithm,
        enc: { kid: keys.enc.kid, jku: keys.enc.jku },
        sign: { kid: keys.sign.kid, jku: keys.sign.jku },
        policy,
      }).toEqual({
        version: expected.version,
        chunk_size: expected.chunk_size,
        algorithm: expected.algorithm,
        enc: expected.enc,
        sign: expected.sign,
        policy: expected.policy,
      });
      // The records read where they stand in the header, and read from the value of the key.
      const fromText = scanRecords(header.metadata!.get('__encryption__')!, header, keys.version);
      expect(recordTexts(records)).toEqual(recordTexts(fromText));

      const isEncrypted = encryptedTensors(records);
      const listed = expected.tensors as { encrypted: boolean }[];
      expect(header.names.map((_, i) => isEncrypted.has(i))).toEqual(listed.map((tensor) => tensor.encrypted));
      const covered =
        integrity &&
        Array.from(
          integrity.records.filter((_, k) => k % 3 === 0),
          (i) => header.names[i]!,
        ).sort();
      expect(covered).toEqual(expected.integrity ?? null);
    },
  );
});

describe('every bad file', () => {
  /** What the format layer alone must find. The rest is found by keys, tags and digests. */
  const foundHere = new Set(['structure', 'reserved', 'signature']);
  const entries = entriesOf('bad.json', 'bad');

  it.each(entries.map((entry) => [text(entry, 'file'), text(entry, 'kind'), entry]))('%s: %s', (file, _, entry) => {
    const expected = entry.get('expected') as JsonObject;
    const right = [
      expected.has('accept') ? 'accept' : text(expected, 'code'),
      ...((entry.get('also_acceptable') ?? []) as string[]),
    ];
    let outcome = 'accept';
    const error = thrownBy(() => {
      const opened = openVector(file, entry.get('keys'));
      // Without the right key the signature cannot be judged here.
      if (opened === 'bad signature') outcome = right.includes('KeyNotFound') ? 'KeyNotFound' : 'BadSignature';
    });
    if (error !== null) outcome = error.code;
    if (foundHere.has(text(entry, 'category')) || outcome !== 'accept')
      expect(right, error?.message).toContain(outcome);
  });
});
