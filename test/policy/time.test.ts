import { describe, expect, test } from 'vitest';
import { endingSync, inputWith, model } from './support.js';

/* The `time` builtins (native/rust/policy/src/time.rs): the caller's clock, in UTC. */

const NOW = '2024-02-29T12:34:56.789Z';
const input = inputWith({ now: () => new Date(NOW) });
const DAY = 86_400_000_000_000n;

const answersTrue = (condition: string): void => {
  const { code, message } = endingSync(model(`allow if ${condition}`), { input });
  expect(code, message).toBe('opens');
};

describe('time', () => {
  test.each([
    `time.now_ns() == 1709210096789000000`,
    `time.now_ns() == time.now_ns()`,
    `time.parse_rfc3339_ns("${NOW}") == time.now_ns()`,
    `time.parse_rfc3339_ns("2024-02-29T14:34:56.789+02:00") == time.now_ns()`,
    `time.parse_rfc3339_ns("1970-01-01T00:00:00.000000001Z") == 1`,
    `time.date(time.now_ns()) == [2024, 2, 29]`,
    `time.date([time.now_ns(), "UTC"]) == [2024, 2, 29]`,
    `time.date([time.now_ns()]) == [2024, 2, 29]`,
    `time.date(-1) == [1969, 12, 31]`,
    `time.clock(time.now_ns()) == [12, 34, 56]`,
    `time.clock([time.now_ns(), ""]) == [12, 34, 56]`,
    `time.weekday(time.now_ns()) == "Thursday"`,
    `time.weekday(0) == "Thursday"`,
    `time.weekday(${3n * DAY}) == "Sunday"`,
    `time.add_date(0, 0, 0, 1) == ${DAY}`,
    `time.add_date(0, 1, 2, 3) == time.parse_rfc3339_ns("1971-03-04T00:00:00Z")`,
    `time.add_date(0, -1, -1, -1) == time.parse_rfc3339_ns("1968-11-30T00:00:00Z")`,
    `time.add_date(time.parse_rfc3339_ns("2024-01-31T00:00:00Z"), 0, 1, 0) == time.parse_rfc3339_ns("2024-02-29T00:00:00Z")`,
    // 29 February plus a year is no date: undefined, as in the reference.
    `not time.add_date(time.now_ns(), 1, 0, 0)`,
    `time.parse_duration_ns("1h30m") == 5400000000000`,
    `time.parse_duration_ns("-1.5s") == -1500000000`,
    `time.parse_duration_ns("+1us2ns") == 1002`,
    `time.parse_duration_ns("1µs") == 1000`,
    `time.parse_duration_ns("1μs") == 1000`,
    `time.parse_duration_ns(".5ms") == 500000`,
    `time.parse_duration_ns("1.s") == 1000000000`,
    `time.parse_duration_ns("0") == 0`,
    `time.parse_duration_ns("1.999999999999999999999999999999h") == 7199999999999`,
    `time.parse_duration_ns("2562047h47m16.854775807s") == 9223372036854775807`,
  ])('%s', answersTrue);

  test.each([
    ['time.parse_rfc3339_ns("yesterday")', 'expects an RFC 3339 time'],
    ['time.parse_rfc3339_ns("2024-02-30T00:00:00Z")', 'expects an RFC 3339 time'],
    ['time.parse_rfc3339_ns(5)', 'expects a string'],
    ['time.parse_rfc3339_ns("2300-01-01T00:00:00Z")', 'beyond the years 1677 to 2262'],
    ['time.date([0, "Europe/Rome"])', 'no time zone but UTC'],
    ['time.date([0, "Local"])', 'no time zone but UTC'],
    ['time.date("0")', 'expects nanoseconds'],
    ['time.date(0.5)', 'expects nanoseconds'],
    ['time.date(9223372036854775808)', 'expects nanoseconds'],
    ['time.add_date(0, 400, 0, 0)', 'beyond the years 1677 to 2262'],
    ['time.add_date(0, 2147483648, 0, 0)', 'expects 32-bit integers'],
    ['time.add_date(0, 0.5, 0, 0)', 'expects 32-bit integers'],
    ['time.parse_duration_ns("1d")', 'expects a duration'],
    ['time.parse_duration_ns("")', 'expects a duration'],
    ['time.parse_duration_ns("-")', 'expects a duration'],
    ['time.parse_duration_ns(".s")', 'expects a duration'],
    ['time.parse_duration_ns("5")', 'expects a duration'],
    ['time.parse_duration_ns("h")', 'expects a duration'],
    ['time.parse_duration_ns("2562047h47m16.854775808s")', 'expects a duration'],
    ['time.parse_duration_ns("99999999999999999999999999999999999999999h")', 'expects a duration'],
    ['time.format(0)', 'could not find function time.format'],
    ['time.now_ns() == 5 with time.now_ns as 5', 'undefined rule'],
  ])('%s is an error', (expression, reason) => {
    // Behind `not`, so that an undefined answer would open.
    const { code, message } = endingSync(model(`allow if not ${expression}`), { input });
    expect(code).toBe('PolicyError');
    expect(message).toContain(reason);
  });

  test('an expiry date opens before it and refuses after it', () => {
    const policy = model('allow if time.now_ns() < time.parse_rfc3339_ns("2024-02-29T12:34:56.790Z")');
    expect(endingSync(policy, { input }).code).toBe('opens');
    const later = inputWith({ now: () => new Date('2024-02-29T12:34:56.790Z') });
    expect(endingSync(policy, { input: later }).code).toBe('PolicyDenied');
  });
});
