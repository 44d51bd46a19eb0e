import { InvalidArgumentError } from 'commander';
import { usageError } from './cli-error.js';

const DAY_MS = 86_400_000;

/** Parses `2027-01-31`, `2027-01-31T12:00:00Z` or, counted from now, `365d`. */
export function parseDayOrTime(text: string): Date {
  const days = /^(\d{1,6})d$/.exec(text);
  if (days !== null) return new Date(Date.now() + Number(days[1]) * DAY_MS);
  const isTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z)?$/.test(text);
  const time = isTime ? new Date(text) : null;
  // A day that there is not, such as February 30, would become another one.
  if (time !== null && !Number.isNaN(time.getTime()) && time.toISOString().startsWith(text.slice(0, 10))) return time;
  throw new InvalidArgumentError('Give a day or a time in UTC, such as 2027-01-31 or 2027-01-31T12:00:00Z, or 365d.');
}

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,3})?([Zz]|[+-]\d\d:\d\d)$/;

/** A moment as RFC 3339 writes it, to the millisecond. @param where how a message calls it */
export function parseRfc3339(text: string, where: string): Date {
  const moment = RFC3339.test(text) ? new Date(text.toUpperCase()) : undefined;
  if (moment !== undefined && !Number.isNaN(moment.getTime())) return moment;
  throw usageError(`${where} must be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z`);
}

/** For `--now`: a moment as RFC 3339 writes it, or a day in UTC. */
export function parseMoment(text: string): Date {
  return RFC3339.test(text) ? parseRfc3339(text, '--now') : parseDayOrTime(text);
}
