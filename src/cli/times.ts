import { InvalidArgumentError } from 'commander';
import { usageError } from './cli-error.js';

const DAY_MS = 86_400_000;

/** Parses `2027-01-31`, `2027-01-31T12:00:00Z` or, counted from now, `365d`. */
export function parseDayOrTime(text: string): Date {
  const days = /^(\d{1,6})d$/.exec(text);
  if (days !== null) return new Date(Date.now() + Number(days[1]) * DAY_MS);
  const isTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z)?$/.test(text);
  const time = isTime && isDay(text.slice(0, 10)) ? new Date(text) : null;
  if (time !== null && !Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError('Give a day or a time in UTC, such as 2027-01-31 or 2027-01-31T12:00:00Z, or 365d.');
}

/** A day that there is not, such as February 30, would become another one. */
function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,3})?([Zz]|[+-]\d\d:\d\d)$/;

/** A moment as RFC 3339 writes it, to the millisecond. @param where how a message calls it */
export function parseRfc3339(text: string, where: string): Date {
  const moment = RFC3339.test(text) && isDay(text.slice(0, 10)) ? new Date(text.toUpperCase()) : undefined;
  if (moment !== undefined && !Number.isNaN(moment.getTime())) return moment;
  throw usageError(`${where} must be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z`);
}

/** For `--now`: a moment as RFC 3339 writes it, or a day in UTC. */
export function parseMoment(text: string): Date {
  return RFC3339.test(text) ? parseRfc3339(text, '--now') : parseDayOrTime(text);
}
