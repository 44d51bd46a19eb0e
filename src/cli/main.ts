#!/usr/bin/env node
import { ExitCode } from './exit-codes.js';
import { complain } from './output.js';
import { run } from './run.js';

// `cryptotensors inspect … | head` closes the pipe early: that is no failure. A result that cannot be written is one: a full disk.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    if (stream === process.stdout) complain(`error: the result could not be written: ${error.message} [FileError]`);
    // Before or after the work ends.
    process.exitCode = ExitCode.failed;
  });
}

const exitCode = await run(process.argv.slice(2));
process.exitCode ??= exitCode;
