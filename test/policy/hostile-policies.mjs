/*
 * Policies that would take down a process if they ran in it without bounds (native/rust/policy/README.md). Lines are kept short
 * and few where the engine has limits of its own for them, so that what is tried is tried.
 */
const model = (rules) => `package model\n${rules}`;
const repeat = (text, times) => text.repeat(times);
const numbered = (count, line) => Array.from({ length: count }, (_, i) => line(i)).join('\n');
/** Does `expression`, with `i` in it, until it is stopped. */
const again = (rules, expression) => model(`${rules}\nallow if { some i in numbers.range(1, 100000); ${expression} }`);
/** Each value holds the one before it twice: as data of 2^60 parts. */
const DOUBLED = `x0 := [1]\n${numbered(60, (i) => `x${i + 1} := [x${i}, x${i}]`)}`;
const TEXT = 's := sprintf("%100000d", [1])';
const LONG_TEXT = 's := sprintf("%1000000d", [1])';
const DIGITS = `a := to_number(concat("", ["${repeat('7', 500)}" | some i in numbers.range(1, 40)]))`;
const LARGE = 'a := bits.lsh(1, 1000000)';

const PARSER = [
  ['arrays nested 30 deep, which takes hours to parse', model(`allow = ${repeat('[', 30)}1${repeat(']', 30)}`)],
  ['objects nested 30 deep', model(`allow = ${repeat('{"a":', 30)}1${repeat('}', 30)}`)],
  ['sets nested 30 deep', model(`allow = ${repeat('{', 30)}1${repeat('}', 30)}`)],
  ['brackets nested 5,000 deep', model(`allow = ${repeat('[\n', 5_000)}`)],
  ['parentheses nested 5,000 deep', model(`allow = ${repeat('(\n', 5_000)}1${repeat(')\n', 5_000)}`)],
  ['comprehensions nested 500 deep', model(`allow = ${repeat('[x |\nx := ', 500)}1${repeat(']', 500)}`)],
  ['comprehensions nested 25 deep', model(`allow = ${repeat('[x |\nx := ', 25)}1${repeat(']', 25)}`)],
  ['a sum of 19,000 terms', model(`allow = 1${repeat('\n+1', 19_000)}`)],
  ['a chain of 15,000 fields', model(`allow = input${repeat('\n.a', 15_000)}`)],
  ['a chain of 15,000 indices', model(`allow = input${repeat('["a"]', 150)}${repeat('\n["b"]', 15_000)}`)],
  ['a chain of rules', model(`${numbered(9_000, (i) => `r${i} := r${i + 1}`)}\nr9000 := 1\nallow := r0`)],
  ['19,000 rules', model(`${numbered(19_000, (i) => `r${i} := ${i}`)}\nallow if r1 == 2`)],
  ['19,000 bodies of one rule', model(repeat('allow if input.x == 1\n', 19_000))],
  ['a string literal of 900 KB', model(`allow if \`${repeat(`${repeat('x', 1_000)}\n`, 900)}\` == "y"`)],
  ['an array literal of 300,000 parts', model(`a := [${repeat(`${repeat('1,', 500)}\n`, 600)}1]\nallow if a[0] == 2`)],
  [
    'an object literal of 60,000 parts',
    model(
      `a := {${numbered(10_000, (i) => Array.from({ length: 6 }, (_, j) => `"${i}.${j}": ${i}`).join(',') + ',')}"z":1}\nallow if a.z == 2`,
    ),
  ],
  ['a number literal of 1,000 digits, squared', model(`a := ${repeat('7', 1_000)}\nallow if a * a < 0`)],
  ['an integer of 10^9 digits', model('allow if 1e1000000000 > 0')],
  ['19,000 empty lines of comments', model(`${repeat('#\n', 19_000)}allow if false`)],
  ['comments of four-byte characters', model(`${repeat(`# ${repeat('\u{1f600}', 250)}\n`, 800)}allow if false`)],
  ['10 MB of source', model(`allow = true\n${repeat('# padding\n', 1_000_000)}`)],
  ['10 MB of source in one line', model(`allow = "${repeat('x', 10_000_000)}"`)],
  ['a NUL and other control characters', 'package model\u0000\u0001\u001b[2J\nallow = true'],
  ['a lone surrogate', model('allow = true # \ud800')],
  ['no Rego at all', repeat('\u{1f600}', 1_000)],
];

const RECURSION = [
  ['endless recursion', model('f(x) := f(x + 1)\nallow if f(1)')],
  ['recursion of two functions', model('f(n) := g(n - 1)\ng(n) := f(n - 1)\nallow if f(1) == 1')],
  ['recursion in a comprehension', model('f(x) := [y | y := f(x + 1)]\nallow if f(1)')],
  ['recursion in every', model('f(x) if { every y in [1, 2] { f(x + y) } }\nallow if f(1)')],
  [
    'the 40th Fibonacci number',
    model('f(n) := 1 if n < 2\nf(n) := f(n - 1) + f(n - 2) if n >= 2\nallow if f(40) == 1'),
  ],
  ['rules that need each other', model('a if b\nb if a\nallow if a')],
  ['a value 2,000 deep', model(`x0 := [1]\n${numbered(2_000, (i) => `x${i + 1} := [x${i}]`)}\nallow if x2000 == [1]`)],
  [
    'JSON 100,000 deep',
    model('s := concat("", ["[" | some i in numbers.range(1, 100000)])\nallow if json.unmarshal(s) == 1'),
  ],
  [
    'a regular expression 10,000 deep',
    model('s := concat("", ["(" | some i in numbers.range(1, 10000)])\nallow if regex.match(s, "a")'),
  ],
];

const LOOPS = [
  [
    'a range of a million, squared',
    model('n := numbers.range(1, 1000000)\nallow if { some i in n; some j in n; i * j < 0 }'),
  ],
  [
    'a comprehension of 10^12',
    model(
      'n := numbers.range(1, 10000)\nallow if count([1 | some i in n; some j in n; some k in n; i + j + k < 0]) > 0',
    ),
  ],
  [
    'a comprehension that keeps 10^8',
    model('n := numbers.range(1, 10000)\nallow if count([[i, j] | some i in n; some j in n]) > 0'),
  ],
  [
    'comprehensions in comprehensions',
    model(
      'n := numbers.range(1, 100)\nallow if count([a | some i in n; a := [b | some j in n; b := [c | some k in n; c := [d | some l in n; d := i + j + k + l]]]]) == 0',
    ),
  ],
  [
    'sets in sets',
    model('n := numbers.range(1, 1000)\nallow if count({a | some i in n; a := {b | some j in n; b := {i, j}}}) == 0'),
  ],
  [
    'objects of objects',
    model(
      'n := numbers.range(1, 1000)\nallow if count({i: a | some i in n; a := {j: b | some j in n; b := {"k": i, "l": j}}}) == 0',
    ),
  ],
  [
    'a walk over all of the input, cubed',
    model('allow if { [p, v] := walk(input); [q, w] := walk(input); [r, x] := walk(input); v == "none" }'),
  ],
  [
    'every of every',
    model('n := numbers.range(1, 10000)\nallow if { every i in n { every j in n { i + j > 0 } }; false }'),
  ],
  ['the input replaced again and again', again('p if input.x > 0', 'not p with input.x as i; false')],
  [
    'random access to a large object',
    model(
      'o := {(i * 7919) % 100003: i | some i in numbers.range(1, 30000)}\nallow if { some i in numbers.range(1, 100000); o[(i * 104729) % 100003] == -1 }',
    ),
  ],
  ['printing without end', again('', 'print(sprintf("%1000d", [i])); i < 0')],
  ['arithmetic without end', again('', '(i / 3) * 1.1 / 7 == 2')],
];

const MEMORY = [
  ['a format of 2 GB', model('allow if sprintf("%2000000000d", [1])')],
  [
    'a format of 60 MB, and again',
    model('a := sprintf("%60000000d", [1])\nb := sprintf("%60000000d", [2])\nallow if a != b'),
  ],
  ['a format of 3 GB', model('allow if sprintf("%3000000000d", [1])')],
  ['a range of a billion', model('allow if count(numbers.range(1, 1000000000)) > 0')],
  ['a range of 10^18, by steps', model('allow if count(numbers.range_step(1, 1000000000000000000, 1)) > 0')],
  ['a range of all integers', model('allow if count(numbers.range(-9223372036854775808, 9223372036854775807)) > 0')],
  ['ranges without end', again('', 'count(numbers.range(i, 1000000)) == i')],
  [
    'a string doubled 40 times',
    model(`s0 := "x"\n${numbered(40, (i) => `s${i + 1} := concat("", [s${i}, s${i}])`)}\nallow if s40 != ""`),
  ],
  [
    'a string replaced by itself',
    model('s := sprintf("%1000d", [1])\na := replace(s, " ", s)\nb := replace(a, " ", s)\nallow if b == ""'),
  ],
  [
    'a hundred strings of 1 MB',
    model('allow if count([s | some i in numbers.range(1, 100); s := sprintf("%1000000d", [i])]) == 1'),
  ],
  [
    'arrays of arrays',
    model(
      'allow if { a := numbers.range(1, 300000); b := [[x, x] | some x in a]; c := [[x, x] | some x in b]; count(c) == 1 }',
    ),
  ],
  ['all addresses of a network', model('allow if count(net.cidr_expand("10.0.0.0/8")) == 1')],
  ['a value of 2^60 parts, as JSON', model(`${DOUBLED}\nallow if json.marshal(x60) == ""`)],
  ['a value of 2^60 parts, compared', model(`${DOUBLED}\nallow if x60 == [x59, [x58, [x57, 1]]]`)],
  ['a value of 2^60 parts, walked', model(`${DOUBLED}\nallow if { [p, v] := walk(x60); v == "no" }`)],
  ['a value of 2^60 parts, in a set', model(`${DOUBLED}\nallow if { {x60, [x59, x59]} == 1 }`)],
  ['a value of 2^60 parts, formatted', model(`${DOUBLED}\nallow if sprintf("%v", [x60]) == ""`)],
];

const COPIES = [
  ['long strings joined', again(TEXT, 'concat("", [s, s, s, s]) == ""')],
  ['arrays joined', again('n := numbers.range(1, 10000)', 'count(array.concat(n, n)) < i - 100000000')],
  ['arrays sliced', again('n := numbers.range(1, 10000)', 'count(array.slice(n, 1, 9999)) < 0')],
  ['arrays reversed', again('n := numbers.range(1, 10000)', 'array.reverse(n)[0] < 0')],
  [
    'objects merged',
    again('o := {sprintf("%d", [i]): i | some i in numbers.range(1, 2000)}', 'count(object.union(o, {"x": i})) < 0'),
  ],
  [
    'a thousand objects merged',
    model(
      'o := {sprintf("%d", [i]): i | some i in numbers.range(1, 1000)}\nallow if count(object.union_n([o | some i in numbers.range(1, 1000)])) < 0',
    ),
  ],
  [
    'objects filtered',
    again('o := {sprintf("%d", [i]): i | some i in numbers.range(1, 2000)}', 'count(object.remove(o, ["x"])) < 0'),
  ],
  ['sets joined', again('a := {i | some i in numbers.range(1, 3000)}', 'count(a & a | a) == i - 100000000')],
  ['sets of sets joined', again('a := {i | some i in numbers.range(1, 3000)}', 'count(union({a, {i}})) == -1')],
  [
    'a graph',
    again(
      'g := {i: [j | j := (i * 7) % 1000] | some i in numbers.range(1, 3000)}',
      'count(graph.reachable(g, {1})) == -1',
    ),
  ],
];

const STRINGS = [
  [
    'numbers sorted',
    again('n := [x | some i in numbers.range(1, 3000); x := (i * 7919) % 3001]', 'count(sort(n)) < 0'),
  ],
  [
    'long strings sorted',
    again(
      'n := [x | some i in numbers.range(1, 1000); x := sprintf("%1000d", [(i * 7919) % 3001])]',
      'count(sort(n)) < 0',
    ),
  ],
  ['sums and products', again('n := numbers.range(1, 3000)', 'sum(n) + product(n) + max(n) + min(n) == -1')],
  ['strings split', again(TEXT, 'count(split(s, " ")) == i - 100000000')],
  ['strings split into characters', again(TEXT, 'count(split(s, "")) == i - 100000000')],
  ['strings replaced', again(TEXT, 'replace(s, " ", "yy") == ""')],
  ['strings replaced by an object', again(TEXT, 'strings.replace_n({" ": "yy", "1": "z"}, s) == ""')],
  ['strings in capitals', again(TEXT, 'upper(lower(s)) == ""')],
  ['strings reversed', again(TEXT, 'strings.reverse(s) == ""')],
  ['strings trimmed', again(LONG_TEXT, 'trim(s, " ") == i')],
  ['strings trimmed of space', again(LONG_TEXT, 'trim_space(s) == i')],
  ['strings cut', again(LONG_TEXT, 'substring(s, 999990, 5) == i')],
  ['strings searched', again(LONG_TEXT, 'indexof(s, "11") == i')],
  ['strings searched for all', again(LONG_TEXT, 'count(indexof_n(s, "1")) == -1')],
  ['strings searched for long ones', again(`${LONG_TEXT}\nt := sprintf("%500000dx", [1])`, 'contains(s, t)')],
  ['parts of strings counted', again(LONG_TEXT, 'strings.count(s, " ") == -1')],
  ['long strings compared', again(`${LONG_TEXT}\nt := sprintf("%1000000d", [1])`, 's != t')],
  ['prefixes compared', again(`${TEXT}\nt := {s, "x"}`, 'strings.any_prefix_match(t, {"y", "z"})')],
  ['widths', again('', 'sprintf("%100000d%100000d", [i, i]) == ""')],
  ['precisions', again('', 'sprintf("%.10000f", [1.5]) == ""')],
  ['a precision too large', model('allow if sprintf("%.100000f", [1.5])')],
  ['a precision of 30 digits', model(`allow if sprintf("%.${repeat('9', 30)}f", [1.5])`)],
  ['a width that is no number', model('allow if sprintf("%1\u00b2d", [1])')],
  ['a width of 30 digits', model(`allow if sprintf("%${repeat('9', 30)}d", [1])`)],
  ['base64', again(LONG_TEXT, 'base64.encode(s) == ""')],
  ['base64, there and back', again(LONG_TEXT, 'base64.decode(base64.encode(s)) == ""')],
  ['hexadecimal, there and back', again(LONG_TEXT, 'hex.decode(hex.encode(s)) == ""')],
  ['JSON written', again('n := numbers.range(1, 10000)', 'json.marshal(n) == ""')],
  ['JSON read', again('s := json.marshal(numbers.range(1, 10000))', 'json.unmarshal(s) == ""')],
  ['semantic versions', again('', 'semver.compare("1.2.3", "1.2.4") == i')],
  ['networks', again('', 'net.cidr_contains("10.0.0.0/8", sprintf("11.0.%d.1", [i % 256]))')],
];

const EXPRESSIONS = [
  ['a regular expression of great size', model('allow if regex.match(`((a{100}){100}){100}`, "a")')],
  ['many regular expressions', again('', 'regex.match(sprintf("((a{90}){9}){%d}", [i]), "b")')],
  [
    'regular expressions of letters of all scripts',
    again('', 'regex.match(sprintf(`(\\pL{5}\\pN{5}){%d}`, [1 + i % 20]), "-")'),
  ],
  ['regular expressions with much to backtrack', model(`${LONG_TEXT}\nallow if regex.match(\`(.*?,){11}P\`, s)`)],
  ['regular expressions over long texts', again(LONG_TEXT, 'regex.match(`(0*0*0*0*0*)*1x`, s)')],
  ['regular expressions that replace', again(TEXT, 'regex.replace(s, " ", "xx") == ""')],
  ['regular expressions that split', again(TEXT, 'count(regex.split(" ", s)) == -1')],
  ['regular expressions that find all', again(TEXT, 'count(regex.find_n(" *", s, -1)) == -1')],
  ['a glob of great size', model(`allow if glob.match("${repeat('{a,', 200)}", [], "a")`)],
  ['many globs', again('', 'glob.match(sprintf("{a,b,c}*%d*x", [i]), [], "abcdefghijklmnop")')],
];

const INTEGERS = [
  [
    'an integer squared until it fills memory',
    model(`x0 := 12345678901234567890\n${numbered(30, (i) => `x${i + 1} := x${i} * x${i}`)}\nallow if x30 > 0`),
  ],
  ['a shift by 10^12', model('allow if bits.lsh(1, 1000000000000) > 0')],
  ['shifts by 10^7', again('', 'bits.lsh(1, 10000000) < i')],
  ['large integers multiplied', again(LARGE, '(a - i) * (a - 3) < 0')],
  ['large integers divided', again(`${LARGE}\nb := bits.lsh(1, 500000)`, 'a % (b + i) < 0')],
  ['large integers masked', again(LARGE, 'bits.and(a, a - i) < 0')],
  ['large integers written', again(LARGE, 'sprintf("%d", [a + i]) == ""')],
  ['large integers written in base 2', again(LARGE, 'format_int(a + i, 2) == ""')],
  ['large integers read', again('s := concat("", ["7" | some i in numbers.range(1, 2000)])', 'to_number(s) == i')],
  ['integers of 20,000 digits', again(DIGITS, 'a * a * i < 0')],
  ['units read', again('', 'units.parse("1000000Mi") == i')],
];

/** Little work, of as many kinds as there are: each is compiled when it is first called. */
const EVERYTHING = [
  [
    'a call of everything',
    model(`s := "b,a,10.0.0.0/8"
n := [3, 1, 2.5, 7]
a := [
  regex.match("^(a|b)+[0-9]*$", s), regex.replace(s, "[ab]", "x"), regex.split(",", s), regex.find_n("[a-z]", s, -1),
  glob.match("{a,b}*[0-9]?*", [","], s), json.marshal({"a": n}), json.unmarshal("[1.5e3, {\\"a\\": null}]"),
  base64.decode(base64.encode(s)), base64url.decode(base64url.encode(s)), hex.decode(hex.encode(s)), sort(n), sum(n),
  product(n), max(n), min(n), sprintf("%5d %v %s %.3f %x", [1, n, s, 2.5, 255]), split(s, ","), replace(s, "a", "b"),
  upper(lower(s)), trim(s, "b"), strings.reverse(s), indexof(s, "a"), substring(s, 1, 3), format_int(255, 16),
  bits.lsh(1, 300) * bits.lsh(3, 200), bits.lsh(1, 300) % 12345678901, bits.xor(5, 3), round(2.5), to_number("1e5"),
  semver.compare("1.2.3", "1.2.4-a"), net.cidr_contains("10.0.0.0/8", "10.1.2.3"), units.parse("10Mi"), time.now_ns(),
  time.parse_rfc3339_ns("2026-01-01T00:00:00Z"), time.date(0), time.add_date(0, 1, 1, 1), time.parse_duration_ns("1h"),
  object.union({"a": 1}, {"b": 2}), object.remove({"a": 1}, ["a"]), array.concat(n, n), array.slice(n, 1, 2),
  {1, 2} & {2} | {3}, intersection({{1}, {1, 2}}), [x | some x in n],
]
allow if a == 1`),
  ],
];

export const HOSTILE = [
  ...PARSER,
  ...RECURSION,
  ...LOOPS,
  ...MEMORY,
  ...COPIES,
  ...STRINGS,
  ...EXPRESSIONS,
  ...INTEGERS,
  ...EVERYTHING,
];
