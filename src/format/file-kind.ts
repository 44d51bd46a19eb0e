import { withoutPrototype } from '../options.js';
/**
 * What a file is that is not what it was taken for, told by its first bytes. Asked only once something has been refused: a real
 * header can begin as other files do.
 */

/** As many bytes as it takes to tell. */
export const KIND_BYTES = 1024;

export const SAFETENSORS = 'a safetensors file';
export const SHARD_INDEX = 'the index of a sharded model, whose name must end in .index.json to be read as one';
export const JWK = 'a key or a set of keys (JWK)';
export const REGO = 'a Rego policy';
export const JSON_TEXT = 'a JSON document';

interface Signature {
  /** Latin-1 text of the first bytes. */
  starts: string;
  at?: number;
  what: string;
}

const SIGNATURES: readonly Signature[] = [
  { starts: 'GGUF', what: 'a GGUF model' },
  { starts: 'version https://git-lfs.github.com/spec/', what: 'a git-lfs pointer: fetch the file itself by `git lfs pull`' },
  { starts: '-----BEGIN OPENSSH PRIVATE KEY', what: "an OpenSSH private key: convert it, or make keys by `cryptotensors keygen`" },
  { starts: '-----BEGIN ', what: 'PEM text' },
  { starts: '\x1f\x8b', what: 'compressed by gzip: unpack it first' },
  { starts: '\x28\xb5\x2f\xfd', what: 'compressed by Zstandard: unpack it first' },
  { starts: '\xfd7zXZ\0', what: 'compressed by xz: unpack it first' },
  { starts: 'BZh', what: 'compressed by bzip2: unpack it first' },
  { starts: '7z\xbc\xaf\x27\x1c', what: 'a 7z archive' },
  { starts: 'PK\x03\x04', what: 'a zip archive, as PyTorch checkpoints (.pt, .pth, .bin) and NumPy .npz files are' },
  { starts: 'PK\x05\x06', what: 'an empty zip archive' },
  { starts: 'ustar', at: 257, what: 'a tar archive' },
  { starts: '\x89HDF\r\n\x1a\n', what: 'an HDF5 file, as Keras writes them' },
  { starts: '\x93NUMPY', what: 'a NumPy array' },
  { starts: 'TFL3', at: 4, what: 'a TensorFlow Lite model' },
  { starts: 'ORTM', at: 4, what: 'an ONNX Runtime model' },
  { starts: '%PDF-', what: 'a PDF document' },
  { starts: '\x89PNG', what: 'a PNG image' },
  { starts: '\x7fELF', what: 'a program (ELF)' },
  { starts: 'SQLite format 3\0', what: 'an SQLite database' },
  { starts: '\xff\xfe', what: 'text in UTF-16: save it as UTF-8' },
  { starts: '\xfe\xff', what: 'text in UTF-16: save it as UTF-8' },
]; // prettier-ignore

const decoder = new TextDecoder('latin1');

/**
 * What the file seems to be, for the end of "it is …", or null. Of its content nothing is quoted: it may be a secret.
 *
 * @param first at least the first `KIND_BYTES` bytes, or all there are
 */
export function recogniseFile(first: Uint8Array): string | null {
  if (first.length === 0) return 'an empty file';
  const head = first.subarray(0, KIND_BYTES);
  const signature = SIGNATURES.find((one) => {
    const { starts, at = 0 } = withoutPrototype(one);
    return beginsWith(head, starts, at);
  });
  if (signature !== undefined) return signature.what;
  if (head.every((byte) => byte === 0)) return 'nothing but zeros, as a download that was cut off leaves them';
  if (isPickle(head)) return 'a Python pickle, as old PyTorch checkpoints are: never load one that you do not trust';
  if (isSafetensors(head)) return SAFETENSORS;
  // A decoder's "latin1" is windows-1252: good enough for what is ASCII here.
  const text = decoder.decode(withoutBom(head)).trimStart();
  return recogniseText(text) ?? (isOnnx(head) ? 'a protobuf message, as ONNX models are' : null);
}

function recogniseText(text: string): string | null {
  if (/^<(!doctype html|html|head|body)\b/i.test(text)) {
    return 'an HTML page, as servers send them in place of a file: look at it, and fetch the file again';
  }
  if (text.startsWith('<?xml') || /^<[a-z]+[ >]/i.test(text)) return 'an XML document';
  if (/^(#[^\n]*\n\s*)*package\s+[a-z]/i.test(text)) return REGO;
  if (/^[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*\./.test(text)) return 'a JSON Web Token';
  if (!/^[{[]/.test(text)) return null;
  if (text.includes('"weight_map"')) return SHARD_INDEX;
  return /"kty"\s*:/.test(text) ? JWK : JSON_TEXT;
}

/** Bytes of UTF-8 text without a byte order mark, which some editors put in front: a view. */
export function withoutBom(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function beginsWith(bytes: Uint8Array, text: string, at: number): boolean {
  if (bytes.length < at + text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The length of a header, then the header. */
function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 10 || bytes[8] !== 0x7b) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(4, true) === 0 && (bytes[9] === 0x22 || bytes[9] === 0x7d || bytes[9] === 0x20);
}

/** Protocol 2 and later, and an opcode that such a stream goes on with. */
function isPickle(bytes: Uint8Array): boolean {
  return (
    bytes[0] === 0x80 && bytes[1]! >= 2 && bytes[1]! <= 5 && [0x7d, 0x63, 0x5d, 0x28, 0x8a, 0x95].includes(bytes[2]!)
  );
}

/** ONNX: `ir_version` as a small number, then the next field of the model. */
function isOnnx(bytes: Uint8Array): boolean {
  return (
    bytes[0] === 0x08 &&
    bytes[1]! >= 1 &&
    bytes[1]! < 64 &&
    [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42].includes(bytes[2]!)
  );
}
