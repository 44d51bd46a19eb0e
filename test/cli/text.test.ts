import { describe, expect, it } from 'vitest';
import { CryptoTensorsError } from '#dist/errors.js';
import { describeFailure, inCliWords } from '#dist/cli/failure.js';
import { named, option, say } from '#dist/wording.js';
import { count, formatBytes, formatChunkSize, parseInteger, parseSize } from '#dist/cli/sizes.js';
import { formatTable } from '#dist/cli/table.js';
import { visible, visibleJson, visibleLines, visibleName, visibleValue } from '#dist/cli/terminal-text.js';

describe('text from files, on a terminal', () => {
  it.each([
    ['plain', 'plain'],
    ['\u001b[31mred', '\\u001b[31mred'],
    ['a\nb\tc', 'a\\u000ab\\u0009c'],
    ['\u009b2J', '\\u009b2J'],
    ['\u202egnp.exe', '\\u202egnp.exe'],
    ['zero\u200bwidth', 'zero\\u200bwidth'],
    ['été 模型 🙂', 'été 模型 🙂'],
  ])('shows %j as %j', (text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  it.each([
    ['encoder.0.weight', 'encoder.0.weight'],
    ['été', 'été'],
    ['', '""'],
    ['two words', '"two words"'],
    ['a"b', '"a\\"b"'],
    ['a\u001bb', '"a\\u001bb"'],
    ['a\u202eb', '"a\\u202eb"'],
  ])('names %j as %j', (name, shown) => {
    expect(visibleName(name)).toBe(shown);
  });

  it('shows a value as it is, unless something in it is hidden or looks like an escape', () => {
    expect(['two words "quoted"', 'back\\slash', 'a\nb'].map(visibleValue)).toEqual([
      'two words "quoted"',
      '"back\\\\slash"',
      '"a\\nb"',
    ]);
  });

  it('keeps line breaks where lines are meant', () => {
    expect(visibleLines('a\r\nb\u0007\nc')).toBe('a\nb\\u0007\nc');
  });

  it('keeps the value of a JSON document while hiding its control characters', () => {
    const value = { name: 'a\u001b\u009b\u202e\n', big: 2n ** 60n };
    const text = visibleJson(value);
    // eslint-disable-next-line no-control-regex -- looking for control characters
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(JSON.parse(text)).toEqual({ name: value.name, big: '1152921504606846976' });
  });
});

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['16B', 16],
    ['64KiB', 65536],
    ['2MiB', 2097152],
    ['1 GiB', 1073741824],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', '2MB', '2mib', '-1', '1.5MiB', '0x10', '1e3', '2MiB2', '9'.repeat(16)])('refuses %j', (text) => {
    expect(() => parseSize(text)).toThrow(/number of bytes/);
  });

  it.each(['', '-1', '1.5', 'all', '1e3'])('refuses %j as a whole number', (text) => {
    expect(() => parseInteger(text)).toThrow(/whole number/);
  });

  it('shows them', () => {
    expect([0, 999, 1000, 90868376, 999_950_000].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '90.9 MB',
      '1.0 GB',
    ]);
    expect([2097152, 65536, 1073741824, 1000].map(formatChunkSize)).toEqual(['2 MiB', '64 KiB', '1 GiB', '1000 B']);
    expect([count(0, 'tensor'), count(1, 'tensor'), count(2, 'tensor')]).toEqual([
      '0 tensors',
      '1 tensor',
      '2 tensors',
    ]);
  });
});

describe('tables', () => {
  it('aligns columns, and lets one long name overflow instead of widening all rows', () => {
    const lines = formatTable(
      [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }],
      [
        ['a', '1 B'],
        ['n'.repeat(70), '22 B'],
      ],
    );
    expect(lines[0]).toBe(`NAME${' '.repeat(58)}SIZE`);
    expect(lines[1]).toBe(`a${' '.repeat(61)} 1 B`);
    expect(lines[2]).toBe(`${'n'.repeat(70)}  22 B`);
  });
});

describe('messages of the library, at a shell', () => {
  it.each([
    [say`${option('chunkSize')} must be`, '--chunk-size must be'],
    [say`${option('version')} must be`, '--format-version must be'],
    [say`${named('options.policy.remote')} holds`, '--remote-policy holds'],
    [say`raise ${option('policy.fuel')}`, 'raise --policy-fuel'],
    [
      say`it is plain`.advising(say`Open it with ${option('allowPlain', 'true')}`),
      'it is plain. Open it with --allow-plain',
    ],
    [
      say`no key`.advising(say`Pass it in ${option('trust')} or ${option('keys')}`),
      'no key. Pass it in --trust or --keys',
    ],
    [say`${'w'}: ${say`no key`.advising(say`Pass ${option('keys')}`)}`, 'w: no key. Pass --keys'],
    [say`no view`.advising(say`Leave out ${option('map')}`), 'no view'],
    [say`${option('map')} is for whole tensors`, 'options.map is for whole tensors'],
    [say`the file says options.keys of itself`, 'the file says options.keys of itself'],
  ])('name options by their flags: %s', (wording, shown) => {
    expect(inCliWords(wording)).toBe(shown);
  });

  it('name the flag of the option to blame, in --json too', () => {
    const error = new CryptoTensorsError('InvalidOption', say`${option('chunkSize')} is too small`);
    expect(error.option).toBe('chunkSize');
    expect(error.message).toBe('options.chunkSize is too small');
    expect(describeFailure(error).document).toEqual({
      error: { code: 'InvalidOption', message: '--chunk-size is too small', option: '--chunk-size' },
    });
  });

  it('show safe details only, never a cause', () => {
    const error = new CryptoTensorsError('BadTag', 'bad', {
      tensor: 'w',
      chunk: 3,
      path: 'm',
      cause: new Error('inner'),
    });
    expect(describeFailure(error)).toEqual({
      exitCode: 1,
      document: { error: { code: 'BadTag', message: 'bad', tensor: 'w', chunk: 3, path: 'm' } },
    });
  });
});
