import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cli, errorOf } from './harness.js';

const COMMANDS = ['keygen', 'encrypt', 'decrypt', 'inspect', 'verify', 'rewrap', 'bench'];
/** Commands of a command. */
const NESTED = ['policy check', 'policy test', 'license issue', 'license show', 'license verify', 'license export-key'];

/** Lines that a terminal of 80 columns breaks; example commands may be as long as they are. */
function tooWide(text: string): string[] {
  return text.split('\n').filter((line) => line.length > 80 && !/^ {2}(cryptotensors|CRYPTOTENSOR_KEYS=)/.test(line));
}

describe('help', () => {
  it('says what the tool is for, shows an example and the exit codes', async () => {
    const { exitCode, stdout, stderr } = await cli(['--help']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('safetensors');
    for (const command of [...COMMANDS, 'policy']) expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    expect(stdout).toContain(
      '  cryptotensors keygen -o keys.json\n' +
        '  cryptotensors encrypt model.safetensors model.ct.safetensors --keys keys.json\n' +
        '  cryptotensors verify model.ct.safetensors --keys keys.json\n',
    );
    expect(tooWide(stdout)).toEqual([]);
    for (const code of ['0', '1', '2', '3', '130']) expect(stdout).toMatch(new RegExp(`^  ${code} +\\S`, 'm'));
  });

  it.each([...COMMANDS, ...NESTED])(
    'of %s has examples, exit codes, and a default for every option',
    async (command) => {
      const { exitCode, stdout } = await cli([...command.split(' '), '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`Usage: cryptotensors ${command}`);
      expect(stdout).toMatch(/\nExamples:\n {2}cryptotensors /);
      expect(stdout).toContain('\nExit codes:\n  0 ');
      expect(tooWide(stdout)).toEqual([]);
      const options = stdout
        .slice(stdout.indexOf('\nOptions:\n') + 1, stdout.indexOf('\nExamples:'))
        .split(/\n(?= {2}-)/)
        .slice(1);
      expect(options.length).toBeGreaterThan(2);
      for (const option of options) {
        if (!option.includes('--help')) expect(option.replace(/\s+/g, ' ')).toMatch(/\(.*(default|required)/);
      }
    },
  );

  it.each(['detach', 'attach'])('of header %s too', async (command) => {
    expect((await cli(['header', '--help'])).stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    const { exitCode, stdout } = await cli(['header', command, '--help']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(new RegExp(`\nExample:\n {2}cryptotensors header ${command} `));
    expect(stdout).toContain('\nExit codes:\n  0 ');
    expect(tooWide(stdout)).toEqual([]);
  });

  it('is what `help COMMAND` shows too', async () => {
    expect(await cli(['help', 'verify'])).toEqual(await cli(['verify', '--help']));
  });

  it('shows the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(await cli(['--version'])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('is shown on standard error, with exit code 2, where no command is given', async () => {
    const { exitCode, stdout, stderr } = await cli([]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('Usage: cryptotensors');
  });
});

describe('a wrong command line', () => {
  it.each([
    [['nonsense'], /unknown command 'nonsense'/],
    [['inspect'], /missing required argument 'files'/],
    [['encrypt', 'a', 'b', 'c'], /too many arguments/],
    [['inspect', 'a', '--colour'], /unknown option '--colour'/],
    [['inspect', 'model.safetensors.index.json'], /give it shards/],
    [['encrypt', 'a'], /the file to write is missing/],
    [['license', 'issue', 'a', 'b'], /--to is missing/],
    [['encrypt', 'a', 'b', '-k', 'k', '--chunk-size', '2MB'], /'2MB' is invalid. Give a number of bytes/],
    [
      ['encrypt', 'a', 'b', '-k', 'k', '--algorithm', 'rot13'],
      /Allowed choices are aes128gcm, aes256gcm, chacha20poly1305/,
    ],
    [['encrypt', 'a', 'b', '-k', 'k', '--format-version', '3'], /Allowed choices are 1, 2/],
    [['encrypt', 'a', 'b', '-k', 'k', '--threads', '0'], /--threads must be an integer from 1/],
    [['verify', 'a', '--threads', 'many'], /Give a whole number/],
    [['verify', 'a', '--claims', '[1]'], /--claims must be a JSON object/],
    [['keygen'], /the file to write is missing/],
  ])('%j: exit code 2, one message, a pointer to the help', async (args, message) => {
    const { exitCode, stdout, stderr } = await cli(args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error: .*\n(.*\n)?Try: cryptotensors .*--help\n$/);
  });

  it.each([
    [['license', 'issue', '-o', 'x'], 'cryptotensors license issue --help'],
    [['verify', '--bogus'], 'cryptotensors verify --help'],
    [['--bogus'], 'cryptotensors --help'],
  ])('%j: points to the help of the command that was meant', async (args, hint) => {
    const { exitCode, stderr } = await cli(args);
    expect(exitCode).toBe(2);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(`Try: ${hint}`);
  });

  it('is one JSON document with --json', async () => {
    for (const args of [
      ['--json'],
      ['inspect', '--json'],
      ['nonsense', '--json'],
      ['verify', '--json', '--bad', 'x'],
    ]) {
      const result = await cli(args);
      expect(result.exitCode).toBe(2);
      expect(errorOf(result)).toEqual({ code: 'UsageError', message: expect.any(String) as string });
    }
  });

  it('never repeats claims, which can be confidential', async () => {
    const { stdout, stderr } = await cli(['verify', 'a', '--claims', '{"token":"s3cr3t-token"']);
    expect(stderr).toContain('--claims: the text is not JSON');
    expect(stdout + stderr).not.toContain('s3cr3t');
  });
});
