// The other side of race-writes.mjs: gives up root and then does what it can in its own folder, for as long as it lives.
import { chmodSync, copyFileSync, linkSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { join } from 'node:path';

const { id, theirs, folder, victims, sealed } = JSON.parse(process.argv[2]);
process.setgroups([]);
process.setgid(id);
process.setuid(id);

const CHANGE_MS = 400;
const REST_MS = 60;
let attacks = 0;
let running = true;
process.once('SIGTERM', () => {
  running = false;
});

/** Half of what is tried here fails, because the other side is faster. */
function attempt(work) {
  try {
    work();
    attacks++;
  } catch {
    // The next one.
  }
}

function putLink(path, to) {
  attempt(() => {
    const aside = join(theirs, 'aside');
    rmSync(aside, { force: true });
    symlinkSync(to, aside);
    renameSync(aside, path);
  });
}

function putFile(path) {
  attempt(() => {
    const aside = join(theirs, 'aside');
    rmSync(aside, { force: true });
    writeFileSync(aside, 'theirs', { mode: 0o666 });
    renameSync(aside, path);
  });
}

/** Whatever is there that was not: temporary files, journals. */
function meddleWithNew(turn) {
  let names = [];
  attempt(() => {
    names = readdirSync(folder);
  });
  for (const name of names) {
    const path = join(folder, name);
    if (name === 'target' || name === 'model.ct') continue;
    switch (turn % 5) {
      case 0:
      case 1:
        attempt(() => {
          if (lstatSync(path).isSymbolicLink()) unlinkSync(path);
          else putLink(path, join(victims, 'victim'));
        });
        break;
      case 2:
        putFile(path);
        break;
      case 3:
        attempt(() => linkSync(path, join(folder, 'second-name')));
        break;
      default:
        attempt(() => unlinkSync(path));
    }
  }
}

function meddleWithTarget(turn) {
  for (const name of ['target', 'model.ct']) {
    const path = join(folder, name);
    if (turn % 4 === 0) putLink(path, join(victims, name));
    else if (turn % 4 === 1) putLink(path, join(victims, 'not-there'));
    else if (name === 'target') putFile(path);
    else restoreModel();
  }
}

function restoreModel() {
  attempt(() => {
    const aside = join(theirs, 'aside-model');
    rmSync(aside, { force: true });
    copyFileSync(sealed, aside);
    chmodSync(aside, 0o666);
    renameSync(aside, join(folder, 'model.ct'));
  });
}

/** Puts a link to the victims in the place of the folder, for a moment. */
function meddleWithFolder() {
  const aside = join(theirs, 'folder-aside');
  attempt(() => renameSync(folder, aside));
  attempt(() => symlinkSync(victims, folder));
  attempt(() => unlinkSync(folder));
  attempt(() => renameSync(aside, folder));
}

async function attackAll(turn) {
  meddleWithNew(turn);
  if (turn % 7 === 0) meddleWithTarget(turn / 7);
  // In between the other side gets somewhere.
  if (turn % 7 === 3) restoreModel();
  if (turn % 11 === 0) meddleWithFolder();
  attempt(() => mkdirSync(folder));
  if (turn % 64 === 0) await rest(0);
}

async function attackLate(turn) {
  if (turn % 4 === 0) {
    for (const name of readdirSync(folder)) attempt(() => rmSync(join(folder, name)));
    restoreModel();
  }
  await rest(Math.random() * REST_MS);
  meddleWithNew(turn);
  if (turn % 5 === 0) meddleWithTarget(turn);
}

function rest(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

restoreModel();
process.send('ready');
// By turns as fast as it goes, and with rests before each attack on what is new, in which the other side gets far.
for (let turn = 0; running; turn++) {
  if (Math.floor(Date.now() / CHANGE_MS) % 2 === 0) await attackAll(turn);
  else await attackLate(turn);
}
process.send(attacks, () => process.exit(0));
