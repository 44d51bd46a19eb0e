import { usageError } from './cli-error.js';

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,3})?([Zz]|[+-]\d\d:\d\d)$/;

/** A moment as RFC 3339 writes it, to the millisecond. @param where how a message calls it */
export function parseTime(text: string, where: string): Date {
  const moment = RFC3339.test(text) ? new Date(text.toUpperCase()) : undefined;
  if (moment !== undefined && !Number.isNaN(moment.getTime())) return moment;
  throw usageError(`${where} must be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z`);
}
