/**
 * The guards against the weaknesses of FORMAT.md §4: the lines that hold, what stands there without them, and the test that
 * must notice.
 */
const weaknesses = 'test/attacks/weaknesses.test.ts';
const headers = 'test/attacks/headers.test.ts';

export const GUARDS = [
  {
    weakness: 'hands out stored bytes when a tag fails',
    file: 'native/core/open_job.cc',
    guard: 'if (tag == nullptr || context->open(table_->iv(tensor, chunk), in, out, length, tag)) return {};',
    without: 'context->open(table_->iv(tensor, chunk), in, out, length, tag); if (tag != nullptr || tag == nullptr) return {};',
    tests: [weaknesses, 'hands out stored bytes when a tag fails'],
  },
  {
    weakness: 'a stripped file opens as a plain one',
    file: 'src/open/open-model.ts',
    guard: 'if (access.mustBeEncrypted) {',
    without: 'if (access.mustBeEncrypted && header.count < 0) {',
    tests: [weaknesses, 'opens a file whose encryption entries were stripped as a plain one all of them'],
  },
  {
    weakness: 'a file with some of its entries stripped opens as a plain one',
    file: 'src/format/crypto-metadata.ts',
    guard: "if (missing.length === RESERVED_KEYS.length) return 'plain';",
    without: "if (missing.length > 0) return 'plain';",
    tests: [weaknesses, '__encryption__ alone, and all but it'],
  },
  {
    weakness: 'a key that the header brings verifies it (jku)',
    file: 'src/keys/select.ts',
    guard: 'return usable(signingKeys, effectiveName(query), () => true);',
    without:
      "const { kid, jku } = effectiveName(query); const found = usable(signingKeys, { kid, jku }, () => true); if (found.length > 0 || jku === null) return found; const { keys } = JSON.parse(process.getBuiltinModule('node:fs').readFileSync(jku.slice(7), 'utf8')); return keys.map(({ x }: { x: string }) => ({ ...signingKeys[0]!, kid, jku, publicKey: Buffer.from(x, 'base64') }));",
    tests: [weaknesses, 'follows the jku of the unverified header'],
  },
  {
    weakness: 'the signature is not verified',
    file: 'src/open/signature.ts',
    guard: 'if (signer === undefined) throw badSignature(candidates);',
    without: 'if (signer === undefined) return candidates[0]!;',
    tests: [headers, 'signs under the name of a trusted key'],
  },
  {
    weakness: 'an old file is taken for the pinned one',
    file: 'src/model/pin.ts',
    guard: 'if (!pins.includes(found)) throw anotherFile(pins, found, path);',
    without: 'if (!pins.includes(found) && header.count < 0) throw anotherFile(pins, found, path);',
    tests: [headers, 'serves an old file in the place of the pinned one'],
  },
  {
    weakness: 'plain tensors have no integrity',
    file: 'native/core/open_job.cc',
    guard: 'if (std::memcmp(found.data(), expected, digest_bytes) != 0) {',
    without: 'if (found.empty()) {',
    tests: [weaknesses, 'leaves plain tensors in an encrypted file without integrity a changed byte'],
  },
  {
    weakness: 'a slice decrypts the whole tensor',
    file: 'src/format/plan.ts',
    guard: 'if (starts.some((start, k) => start === stops[k]))',
    without: 'starts.fill(0); if (starts.some((start, k) => start === stops[k]))',
    tests: [weaknesses, 'reads no chunk that it does not need'],
  },
  {
    weakness: 'a filter that matches nothing writes a plain file',
    file: 'src/writer/select.ts',
    guard: 'if (!any) throw nothingMatched(pattern, tensors);',
    without: 'if (!any && tensors.length === 0) throw nothingMatched(pattern, tensors);',
    tests: [weaknesses, 'when the filter of tensors matches nothing'],
  },
  {
    weakness: 'a write that fails leaves half a file',
    file: 'src/writer/atomic-file.ts',
    guard: "const temporary = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.tmp`);",
    without: 'const temporary = path; removeQuietly(path);',
    tests: [weaknesses, 'writes over a file before the new one is whole'],
  },
  {
    weakness: 'the input of the policy is ignored',
    file: 'src/policy/input.ts',
    guard: "claims: copyClaims(claims, 'options.claims'),",
    without: "claims: copyClaims({}, 'options.claims'),",
    tests: [weaknesses, 'ignores the input of the policy'],
  },
  {
    weakness: 'keys are kept as plain text',
    file: 'src/keys/load.ts',
    guard: 'this.engine.wipe(bytes);',
    without: 'if (bytes.length === 0) this.engine.wipe(bytes);',
    tests: ['test/keys/memory/memory.test.ts', 'keys are in locked memory that no core dump has'],
  },
]; // prettier-ignore
