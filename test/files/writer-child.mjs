// Begins to write a file and never ends.
import { getEngine } from '#dist/engine/load.js';
import { writeAtomically } from '#dist/files/atomic-write.js';
import { runAsync, step } from '#dist/twin.js';

const never = new Promise((resolve) => setTimeout(resolve, 60_000));
await runAsync(
  writeAtomically({ path: process.argv[2], byteLength: 10, engine: getEngine() }, function* () {
    console.log('writing');
    yield* step(
      () => undefined,
      () => never,
    );
  }),
);
