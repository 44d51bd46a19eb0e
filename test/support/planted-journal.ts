import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { encodeChanges } from '#dist/recovery/journal.js';
import type { Change } from '#dist/recovery/journal.js';
import { encodePage, newToken } from '#dist/recovery/page.js';
import type { JournalOwner, WholeModel } from '#dist/recovery/page.js';
import { runSync } from '#dist/twin.js';

/** A process of this machine that is no more. */
export const GONE: JournalOwner = { pid: 1, host: hostname(), boot: 'an earlier one', namespace: null, started: null };

/** What a planted journal says; without `changes` it is one that was never finished. */
export interface PlantedJournal {
  changes?: Change[];
  token?: string;
  owner?: JournalOwner;
  whole?: WholeModel | null;
}

/** Writes a journal of somebody's own. */
export function plantJournal(
  path: string,
  { changes, token = newToken(), owner = GONE, whole = null }: PlantedJournal = {},
): void {
  const page = encodePage({ token, owner, whole });
  writeFileSync(path, changes === undefined ? page : Buffer.concat([page, runSync(encodeChanges(page, changes))]));
}
