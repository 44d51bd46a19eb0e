#!/usr/bin/env python3
"""Independent reader and checker of the CryptoTensors file format.

Uses the standard library and `cryptography` only, and `blake3` for files whose `__integrity__` says so.

  oracle.py dump  FILE [--keys keys.json] [--enc-kid K] [--sign-kid K] [--require-encrypted] [--no-data]
  oracle.py check FILE [--keys keys.json] --expect expected.json [...]

A JWK or a JWK set is accepted as the keys file.  --enc-kid / --sign-kid give a key *directly*
(the header's kid/jku are then ignored).  A bad file: exit status 1 and {"error":{"code","message"}}.
"""
import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import struct
import sys
import unicodedata

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

MAX_HEADER = 100_000_000
U64 = (1 << 64) - 1
DEFAULT_CHUNK = 2 * 1024 * 1024

# ascending alignment order
DTYPES = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
RESERVED = ("__encryption__", "__crypto_keys__", "__policy__", "__signature__")
ENC_ALGS = {"aes128gcm": 16, "aes256gcm": 32, "chacha20poly1305": 32}


class FormatError(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def bad(code, message):
    raise FormatError(code, message)


# ---------------------------------------------------------------- strict JSON

class NotInt:
    """A JSON number that is not a plain non-negative integer of 64 bits."""

    def __init__(self, text):
        self.text = text


class Obj:
    """A JSON object: pairs in order, no duplicate keys."""

    __slots__ = ("pairs", "map")

    def __init__(self, pairs):
        self.pairs = pairs
        self.map = dict(pairs)
        if len(self.map) != len(pairs):
            seen = set()
            for k, _ in pairs:
                if k in seen:
                    raise ValueError(f"duplicate key {k!r}")
                seen.add(k)

    def get(self, k, default=None):
        return self.map.get(k, default)

    def __contains__(self, k):
        return k in self.map


def _int(text):
    if text.startswith("-") or len(text) > 20:
        return NotInt(text)
    v = int(text)
    return v if v <= U64 else NotInt(text)


def _const(text):
    raise ValueError(f"not JSON: {text}")


def _no_lone_surrogates(v):
    stack = [v]
    while stack:
        x = stack.pop()
        if isinstance(x, str):
            x.encode("utf-8")  # UnicodeEncodeError is a ValueError
        elif isinstance(x, list):
            stack.extend(x)
        elif isinstance(x, Obj):
            for k, y in x.pairs:
                k.encode("utf-8")
                stack.append(y)


def _depth(text):
    depth = best = 0
    in_string = escaped = False
    for c in text:
        if in_string:
            if escaped:
                escaped = False
            elif c == "\\":
                escaped = True
            elif c == '"':
                in_string = False
        elif c == '"':
            in_string = True
        elif c in "[{":
            depth += 1
            best = max(best, depth)
        elif c in "]}":
            depth -= 1
    return best


def strict_json(text):
    """Raises ValueError. Objects come back as Obj, odd numbers as NotInt."""
    if text.startswith("\ufeff"):
        raise ValueError("byte order mark")
    if _depth(text) > 127:
        raise ValueError("nested too deeply")
    dec = json.JSONDecoder(object_pairs_hook=Obj, parse_int=_int, parse_float=NotInt, parse_constant=_const,
                           strict=True)
    i = 0
    while i < len(text) and text[i] in " \t\n\r":
        i += 1
    v, end = dec.raw_decode(text, i)
    if text[end:].strip(" \t\n\r"):
        raise ValueError("trailing characters")
    _no_lone_surrogates(v)
    return v


def is_uint(v):
    return isinstance(v, int) and not isinstance(v, bool)


def json_string(s):
    """As serde_json writes a string."""
    out = ['"']
    for c in s:
        o = ord(c)
        if c == '"':
            out.append('\\"')
        elif c == "\\":
            out.append("\\\\")
        elif o >= 0x20:
            out.append(c)
        else:
            out.append({8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t"}.get(o) or "\\u%04x" % o)
    out.append('"')
    return "".join(out)


# ---------------------------------------------------------------- safetensors layer

class Tensor:
    __slots__ = ("name", "dtype", "shape", "begin", "end", "text_index")

    def __init__(self, name, dtype, shape, begin, end, text_index):
        self.name, self.dtype, self.shape, self.begin, self.end, self.text_index = \
            name, dtype, shape, begin, end, text_index

    @property
    def nbytes(self):
        return self.end - self.begin


class Header:
    """metadata: None or list of (key, value) in text order; tensors: in data order."""

    def __init__(self, n, metadata, tensors, data_start, text):
        self.n, self.metadata, self.tensors, self.data_start, self.text = n, metadata, tensors, data_start, text

    def meta(self):
        return dict(self.metadata) if self.metadata is not None else {}


def parse_header_bytes(buf, total=None):
    """buf: at least 8 bytes of prefix and the header. total: the file's length."""
    total = len(buf) if total is None else total
    if total < 8 or len(buf) < 8:
        bad("HeaderTooSmall", f"{len(buf)} bytes")
    n = struct.unpack("<Q", buf[:8])[0]
    if n > MAX_HEADER:
        bad("HeaderTooLarge", f"N = {n}")
    if 8 + n > total:
        bad("InvalidHeaderLength", f"8+{n} > {total}")
    raw = bytes(buf[8:8 + n])
    try:
        text = raw.decode("utf-8", "strict")
    except UnicodeDecodeError as e:
        bad("InvalidHeader", f"not UTF-8 at {e.start}")
    J = "InvalidHeaderDeserialization"
    try:
        top = strict_json(text)
    except (ValueError, RecursionError) as e:
        bad(J, str(e))
    if not isinstance(top, Obj):
        bad(J, "the header is not an object")
    metadata = None
    tensors = []
    for idx, (name, v) in enumerate(top.pairs):
        if not isinstance(v, Obj):
            bad(J, f"{name!r} is not an object")
        if name == "__metadata__":
            for k, x in v.pairs:
                if not isinstance(x, str):
                    bad(J, f"metadata {k!r} is not a string")
            metadata = list(v.pairs)
            continue
        for f in ("dtype", "shape", "data_offsets"):
            if f not in v:
                bad(J, f"{name!r} lacks {f}")
        dtype, shape, off = v.get("dtype"), v.get("shape"), v.get("data_offsets")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            bad(J, f"{name!r}: unknown dtype {dtype!r}")
        if not isinstance(shape, list) or not all(is_uint(d) for d in shape):
            bad(J, f"{name!r}: shape is not a list of unsigned integers")
        if not isinstance(off, list) or len(off) != 2 or not all(is_uint(d) for d in off):
            bad(J, f"{name!r}: data_offsets is not a pair of unsigned integers")
        tensors.append(Tensor(name, dtype, shape, off[0], off[1], idx))
    # stable: ties keep the order of the text
    tensors.sort(key=lambda t: (t.begin, t.end))
    return Header(n, metadata, tensors, 8 + n, text)


def validate(h, total):
    pos = 0
    for t in h.tensors:
        if t.begin != pos or t.end < t.begin:
            bad("InvalidOffset", t.name)
        pos = t.end
        count = 1
        for d in t.shape:          # 64-bit checked product, left to right
            count *= d
            if count > U64:
                bad("ValidationOverflow", t.name)
        bits = count * DTYPES[t.dtype]
        if bits > U64:
            bad("ValidationOverflow", t.name)
        if bits % 8:
            bad("MisalignedSlice", t.name)
        if t.end - t.begin != bits // 8:
            bad("TensorInvalidInfo", t.name)
    if total is not None and h.data_start + pos != total:
        bad("MetadataIncompleteBuffer", f"data section is {total - h.data_start} bytes, tensors cover {pos}")
    return pos


def parse(buf):
    h = parse_header_bytes(buf)
    validate(h, len(buf))
    return h


def canonical_text(metadata, tensors):
    """metadata: dict or None (the signature is left out); tensors in data order."""
    parts = []
    if metadata is not None:
        items = sorted(((k, v) for k, v in metadata.items() if k != "__signature__"),
                       key=lambda kv: kv[0].encode("utf-8"))
        parts.append('"__metadata__":{' + ",".join(json_string(k) + ":" + json_string(v) for k, v in items) + "}")
    for t in tensors:
        parts.append('%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}' % (
            json_string(t.name), t.dtype, ",".join(map(str, t.shape)), t.begin, t.end))
    return "{" + ",".join(parts) + "}"


def header_text(metadata, tensors):
    """The same, with the signature kept (what a writer writes)."""
    body = canonical_text(None, tensors)[1:-1]
    if metadata is None:
        return "{" + body + "}"
    items = sorted(metadata.items(), key=lambda kv: kv[0].encode("utf-8"))
    m = '"__metadata__":{' + ",".join(json_string(k) + ":" + json_string(v) for k, v in items) + "}"
    return "{" + m + ("," + body if body else "") + "}"


# ---------------------------------------------------------------- keys

def b64_strict(s, what, code="InvalidCryptoMetadata"):
    if not isinstance(s, str):
        bad(code, f"{what} is not a string")
    try:
        raw = base64.b64decode(s.encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as e:
        bad(code, f"{what}: bad base64 ({e})")
    if base64.b64encode(raw).decode() != s:
        bad(code, f"{what}: base64 is not canonical")
    return raw


def b64_key(s):
    """Standard or url-safe, with or without padding (keys only)."""
    t = s.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(t + "=" * (-len(t) % 4), validate=True)


class Keys:
    def __init__(self, jwks=(), enc_kid=None, sign_kid=None):
        self.jwks, self.enc_kid, self.sign_kid = list(jwks), enc_kid, sign_kid

    @staticmethod
    def load(path, enc_kid=None, sign_kid=None):
        with open(path) as f:
            d = json.load(f)
        jwks = d["keys"] if "keys" in d else [d]
        return Keys(jwks, enc_kid, sign_kid)

    def _find(self, kty, kid):
        for k in self.jwks:
            if str(k.get("kty", "")).lower() == kty and (kid is None or k.get("kid") == kid):
                return k
        bad("KeyNotFound", f"no {kty} key" + (f" with kid {kid!r}" if kid is not None else ""))

    def enc(self, header_kid=None):
        return self._find("oct", self.enc_kid if self.enc_kid is not None else header_kid)

    def sign(self, header_kid=None):
        return self._find("okp", self.sign_kid if self.sign_kid is not None else header_kid)


def norm_enc_alg(a):
    return a.replace("-", "").lower()


def aead(alg, key):
    return ChaCha20Poly1305(key) if alg == "chacha20poly1305" else AESGCM(key)


# ---------------------------------------------------------------- crypto layer

C = "InvalidCryptoMetadata"


def _doc(meta, name):
    try:
        v = strict_json(meta[name])
    except (ValueError, RecursionError) as e:
        bad(C, f"{name}: {e}")
    if not isinstance(v, Obj):
        bad(C, f"{name} is not an object")
    return v


def parse_crypto_keys(meta):
    ck = _doc(meta, "__crypto_keys__")
    ver = ck.get("version")
    if not isinstance(ver, str):
        bad(C, "version is missing or not a string")
    if ver not in ("1", "2"):
        bad("UnsupportedVersion", ver)
    chunk = None
    if "chunk_size" in ck:
        chunk = ck.get("chunk_size")
        if not is_uint(chunk) or chunk == 0:
            bad(C, "chunk_size is not a positive integer")
        if ver == "1":
            bad(C, "chunk_size in a version 1 file")
    elif ver == "2":
        chunk = DEFAULT_CHUNK
    out = {"version": ver, "chunk_size": chunk}
    for role, kty in (("enc", "oct"), ("sign", "okp")):
        k = ck.get(role)
        if not isinstance(k, Obj):
            bad(C, f"{role} is missing or not an object")
        if not isinstance(k.get("kty"), str) or not isinstance(k.get("alg"), str):
            bad(C, f"{role}: kty or alg is missing")
        if (k.get("kty").lower() if role == "sign" else k.get("kty")) != kty:
            bad(C, f"{role}: kty {k.get('kty')!r}")
        for f in ("kid", "jku"):
            if k.get(f) is not None and not isinstance(k.get(f), str):
                bad(C, f"{role}: {f} is not a string")
        alg = norm_enc_alg(k.get("alg")) if role == "enc" else k.get("alg").lower()
        if (role == "enc" and alg not in ENC_ALGS) or (role == "sign" and alg != "ed25519"):
            bad("UnsupportedAlgorithm", k.get("alg"))
        out[role] = {"alg": alg, "kid": k.get("kid"), "jku": k.get("jku"), "alg_text": k.get("alg"),
                     "kty": k.get("kty")}
    return out


def parse_policy(meta):
    p = _doc(meta, "__policy__")
    if not isinstance(p.get("local"), str) or not isinstance(p.get("remote"), str):
        bad(C, "__policy__ lacks local or remote")
    return {"local": p.get("local"), "remote": p.get("remote")}


def verify_signature(h, ck, keys):
    jwk = keys.sign(ck["sign"]["kid"])
    try:
        x = b64_key(jwk["x"])
        pub = Ed25519PublicKey.from_public_bytes(x)
    except (KeyError, ValueError) as e:
        bad("KeyNotFound", f"no usable public key: {e}")
    sig = b64_strict(h.meta()["__signature__"], "__signature__", "BadSignature")
    if len(sig) != 64:
        bad("BadSignature", f"{len(sig)} bytes")
    try:
        pub.verify(sig, canonical_text(h.meta(), h.tensors).encode("utf-8"))
    except InvalidSignature:
        bad("BadSignature", "the signature does not verify")


def _field(name, rec, f, lens):
    v = b64_strict(rec.get(f), f"{name}: {f}")
    if len(v) not in lens:
        bad(C, f"{name}: {f} is {len(v)} bytes")
    return v


def parse_records(h, ck):
    enc = _doc(h.meta(), "__encryption__")
    by_name = {t.name: t for t in h.tensors}
    alg, klen = ck["enc"]["alg"], ENC_ALGS[ck["enc"]["alg"]]
    out = {}
    for name, rec in enc.pairs:
        if name not in by_name:
            bad(C, f"a record for {name!r}, which is not in the file")
        if not isinstance(rec, Obj):
            bad(C, f"the record of {name!r} is not an object")
        t = by_name[name]
        r = {"wrapped_key": _field(name, rec, "wrapped_key", (klen,)),
             "key_iv": _field(name, rec, "key_iv", (12,)),
             "key_tag": _field(name, rec, "key_tag", (16,))}
        if ck["version"] == "1":
            if rec.get("base_iv") is not None or rec.get("tags") is not None:
                bad(C, f"{name}: base_iv or tags in a version 1 record")
            lens = (0, 12) if t.nbytes == 0 else (12,)
            r["iv"] = _field(name, rec, "iv", lens)
            r["tag"] = _field(name, rec, "tag", (0, 16) if t.nbytes == 0 else (16,))
            if bool(r["iv"]) != bool(r["tag"]):
                bad(C, f"{name}: iv and tag do not go together")
        else:
            if rec.get("iv") is not None or rec.get("tag") is not None:
                bad(C, f"{name}: iv or tag in a version 2 record")
            r["base_iv"] = _field(name, rec, "base_iv", (12,))
            nchunks = max(1, -(-t.nbytes // ck["chunk_size"]))
            r["tags"] = _field(name, rec, "tags", (16 * nchunks,))
            if struct.unpack(">I", r["base_iv"][8:])[0] + nchunks - 1 > 0xFFFFFFFF:
                bad(C, f"{name}: the IV counter overflows")
        out[name] = r
    return out


def unwrap_dek(alg, master, r, name="?"):
    try:
        return aead(alg, master).decrypt(r["key_iv"], r["wrapped_key"] + r["key_tag"], None)
    except InvalidTag:
        bad("BadTag", f"{name}: the data key does not unwrap")


def wrap_dek(alg, master, dek, iv=None):
    iv = iv or os.urandom(12)
    ct = aead(alg, master).encrypt(iv, dek, None)
    return {"wrapped_key": ct[:-16], "key_iv": iv, "key_tag": ct[-16:]}


def decrypt_v1(alg, dek, r, data, name="?"):
    if not data and not r["iv"]:
        return b""
    try:
        return aead(alg, dek).decrypt(r["iv"], bytes(data) + r["tag"], None)
    except InvalidTag:
        bad("BadTag", name)


def chunk_iv(base_iv, i):
    c = struct.unpack(">I", base_iv[8:12])[0] + i
    if c > 0xFFFFFFFF:
        bad(C, "the IV counter overflows")
    return base_iv[:8] + struct.pack(">I", c)


def decrypt_v2(alg, dek, r, data, chunk, name="?"):
    a = aead(alg, dek)
    n = max(1, -(-len(data) // chunk))
    out = []
    for i in range(n):
        try:
            out.append(a.decrypt(chunk_iv(r["base_iv"], i),
                                 bytes(data[i * chunk:(i + 1) * chunk]) + r["tags"][16 * i:16 * i + 16], None))
        except InvalidTag:
            bad("BadTag", f"{name}: chunk {i}")
    return b"".join(out)


def _sha256(data):
    return hashlib.sha256(data).digest()


def _blake3(data):
    from blake3 import blake3
    return blake3(data).digest()


DIGESTS = {"sha256": _sha256, "blake3": _blake3}


def check_integrity(h, meta, buf, records):
    """The `__integrity__` extension: digests of the tensors that are stored in the clear."""
    d = _doc(meta, "__integrity__")
    alg = d.get("alg")
    if not isinstance(alg, str) or alg not in DIGESTS:
        bad("UnsupportedAlgorithm", f"__integrity__ alg {alg!r}")
    digest = DIGESTS[alg]
    cs = d.get("chunk_size")
    if not is_uint(cs) or cs == 0:
        bad(C, "__integrity__: chunk_size")
    ts = d.get("tensors")
    if not isinstance(ts, Obj):
        bad(C, "__integrity__: tensors")
    by_name = {t.name: t for t in h.tensors}
    for name, v in ts.pairs:
        if name not in by_name or name in records:
            bad(C, f"__integrity__: {name!r} is not a tensor stored in the clear")
        t = by_name[name]
        want = b64_strict(v, f"__integrity__: {name}")
        data = buf[h.data_start + t.begin:h.data_start + t.end]
        got = b"".join(digest(data[i:i + cs]) for i in range(0, len(data), cs))
        if want != got and not (not data and want == digest(b"")):
            bad("BadDigest", f"{name}: the digest of its bytes does not match")
    return sorted(ts.map)


# ---------------------------------------------------------------- __model__ (docs/format.md)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIGEST = re.compile(r"[0-9a-f]{64}")
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\.|$)", re.I)


def check_file_name(name):
    if name == "" or len(name.encode("utf-8")) > 1024:
        bad(C, f"__model__: the name {name!r} is empty or too long")
    for part in name.split("/"):
        wrong = (part in ("", ".", "..") or re.search(r'[\x00-\x1f\x7f"*:<>?\\|]', part) or part[-1] in ". "
                 or DEVICE.match(part) or len(part.encode("utf-8")) > 255)
        if wrong:
            bad(C, f"__model__: the name {name!r} is not one that every system takes")


def folded(name):
    upper = unicodedata.normalize("NFKC", name).upper()
    return unicodedata.normalize("NFKC", upper.lower())


def parse_model(h, meta):
    text = meta["__model__"]
    try:
        m = strict_json(text)
    except ValueError as e:
        bad(C, f"__model__: {e}")
    if not isinstance(m, Obj):
        bad(C, "__model__ is no object")
    m = dict(m.map)
    if m.get("version") != "1":
        bad("UnsupportedVersion" if isinstance(m.get("version"), str) else C, "__model__: version")
    want = ["version", "id", "set", "generation", "file", "weights", "sealed", "plain"]
    if list(m) != want:
        bad(C, f"__model__: its members must be {want}")
    for key in ("id", "set"):
        if not isinstance(m[key], str) or not UUID.fullmatch(m[key]):
            bad(C, f"__model__: {key} is no UUID")
    if type(m["generation"]) is not int or not 0 < m["generation"] < 2 ** 53:
        bad(C, "__model__: generation")
    for key in ("weights", "plain"):
        if not isinstance(m[key], Obj):
            bad(C, f"__model__: {key} is no object")
        m[key] = dict(m[key].map)
        if not all(isinstance(d, str) and DIGEST.fullmatch(d) for d in m[key].values()):
            bad(C, f"__model__: {key} holds what is no digest")
    if not isinstance(m["sealed"], list) or not all(isinstance(n, str) for n in m["sealed"]):
        bad(C, "__model__: sealed is no list of names")
    stored = list(m["weights"]) + [n + ".sealed" for n in m["sealed"]]
    names = stored + m["sealed"] + list(m["plain"])
    for name in names:
        check_file_name(name)
    one = [folded(n) for n in names]
    if len(set(one)) != len(one):
        bad(C, "__model__: two names are one where case or form is not told apart")
    for name in names:
        parts = name.split("/")
        if any(folded("/".join(parts[:i])) in one for i in range(1, len(parts))):
            bad(C, f"__model__: {name!r} is in a folder that is a file")
    if any("/" in n for n in m["weights"]) or m["file"] not in stored:
        bad(C, "__model__: file, or a file of weights in a folder")

    def ordered(names):
        return sorted(names, key=lambda n: n.encode("utf-8"))

    again = {**m, "weights": {n: m["weights"][n] for n in ordered(m["weights"])}, "sealed": ordered(m["sealed"]),
             "plain": {n: m["plain"][n] for n in ordered(m["plain"])}}
    if json.dumps(again, ensure_ascii=False, separators=(",", ":")) != text:
        bad(C, "__model__ is not in canonical form")
    if m["file"] in m["weights"]:
        digest = hashlib.sha256()
        for t in h.tensors:
            name = t.name.encode("utf-8")
            digest.update(b"%d:%s," % (len(name), name))
        if digest.hexdigest() != m["weights"][m["file"]]:
            bad("ModelMismatch", "the file holds other tensors than its model says")
    return m


class File:
    """A checked file: header, signature, records; tensors are decrypted on demand."""

    def __init__(self, buf, keys=None, require_encrypted=False):
        self.buf = buf
        self.h = h = parse(buf)
        self.meta = meta = h.meta()
        self.encrypted = "__encryption__" in meta
        self.records, self.ck, self.policy, self.signature_ok, self.integrity = {}, None, None, None, None
        self.deks = {}
        if not self.encrypted:
            left = [k for k in RESERVED if k in meta]
            if left:
                bad(C, f"__encryption__ is missing but {', '.join(left)} is there")
            if require_encrypted:
                bad("NotEncrypted", "the file is not encrypted")
            return
        for k in RESERVED:
            if k not in meta:
                bad(C, f"{k} is missing")
        self.ck = parse_crypto_keys(meta)
        keys = keys or Keys()
        verify_signature(h, self.ck, keys)
        self.signature_ok = True
        self.model = parse_model(h, meta) if "__model__" in meta else None
        self.policy = parse_policy(meta)
        self.records = parse_records(h, self.ck)
        jwk = keys.enc(self.ck["enc"]["kid"])
        try:
            self.master = b64_key(jwk["k"])
        except (KeyError, ValueError) as e:
            bad("KeyNotFound", f"no usable key: {e}")
        alg = self.ck["enc"]["alg"]
        if len(self.master) != ENC_ALGS[alg]:
            bad("KeyNotFound", f"a key of {len(self.master)} bytes for {alg}")
        for name, r in self.records.items():
            self.deks[name] = unwrap_dek(alg, self.master, r, name)
        if "__integrity__" in meta:
            self.integrity = check_integrity(h, meta, buf, self.records)

    def stored(self, t):
        return self.buf[self.h.data_start + t.begin:self.h.data_start + t.end]

    def read(self, t):
        data = self.stored(t)
        r = self.records.get(t.name)
        if r is None:
            return bytes(data)
        alg, dek = self.ck["enc"]["alg"], self.deks[t.name]
        if self.ck["version"] == "1":
            return decrypt_v1(alg, dek, r, data, t.name)
        return decrypt_v2(alg, dek, r, data, self.ck["chunk_size"], t.name)


# ---------------------------------------------------------------- writing (for rewrap and for test data)

def b64(b):
    return base64.b64encode(b).decode()


def compact(v):
    return json.dumps(v, ensure_ascii=False, separators=(",", ":"))


def sign(meta, tensors, jwk):
    d = Ed25519PrivateKey.from_private_bytes(b64_key(jwk["d"]))
    m = {k: v for k, v in meta.items() if k != "__signature__"}
    m["__signature__"] = b64(d.sign(canonical_text(m, tensors).encode("utf-8")))
    return m


def pad_header(text, align=8, extra=0):
    raw = text.encode("utf-8")
    n = len(raw) + extra
    n += -(8 + n) % align
    return struct.pack("<Q", n) + raw + b" " * (n - len(raw))


def rewrap(buf, keys, new_enc, new_sign, policy=None):
    """New bytes of the file: every DEK under new_enc, signed by new_sign; data untouched."""
    f = File(buf, keys)
    alg = f.ck["enc"]["alg"]
    if "alg" in new_enc and norm_enc_alg(new_enc["alg"]) != alg:
        bad("UnsupportedAlgorithm", "enc.alg cannot change")
    master = b64_key(new_enc["k"])
    old = json.loads(f.meta["__encryption__"])
    for name, rec in old.items():
        rec.update({k: b64(v) for k, v in wrap_dek(alg, master, f.deks[name]).items()})
    def pub(j, kty, a):
        return {k: v for k, v in sorted({"alg": a, "kid": j.get("kid"), "kty": kty, "jku": j.get("jku")}.items())
                if v is not None}
    ck = {"enc": pub(new_enc, "oct", f.ck["enc"]["alg_text"]), "sign": pub(new_sign, "okp", "ed25519"),
          "version": f.ck["version"]}
    if f.ck["version"] == "2":
        ck["chunk_size"] = f.ck["chunk_size"]
    meta = dict(f.meta)
    meta["__encryption__"] = compact(dict(sorted(old.items(), key=lambda kv: kv[0].encode("utf-8"))))
    meta["__crypto_keys__"] = compact(dict(sorted(ck.items())))
    meta["__policy__"] = compact(policy or f.policy)
    meta = sign(meta, f.h.tensors, new_sign)
    return pad_header(header_text(meta, f.h.tensors)) + bytes(buf[f.h.data_start:])


# ---------------------------------------------------------------- CLI

def facts(buf, keys, require_encrypted=False, data=True):
    f = File(buf, keys, require_encrypted)
    h = f.h
    text_len = len(h.text.rstrip(" ").encode("utf-8"))
    out = {
        "file_size": len(buf),
        "header_length": h.n,
        "header_padding": h.n - text_len,
        "data_length": len(buf) - h.data_start,
        "encrypted": f.encrypted,
        "metadata": {k: v for k, v in (h.metadata or []) if not k.startswith("__")} if h.metadata is not None else None,
        "reserved_metadata": sorted(k for k, _ in (h.metadata or []) if k.startswith("__")),
        "signature_ok": f.signature_ok,
    }
    if f.encrypted:
        out.update({"version": f.ck["version"], "chunk_size": f.ck["chunk_size"], "algorithm": f.ck["enc"]["alg"],
                    "enc": {k: f.ck["enc"][k] for k in ("kid", "jku")},
                    "sign": {k: f.ck["sign"][k] for k in ("kid", "jku")}, "policy": f.policy,
                    "integrity": f.integrity, "model": f.model})
    out["tensors"] = []
    for t in h.tensors:
        e = {"name": t.name, "dtype": t.dtype, "shape": t.shape, "data_offsets": [t.begin, t.end],
             "encrypted": t.name in f.records}
        if data:
            e["sha256"] = hashlib.sha256(f.read(t)).hexdigest()
        out["tensors"].append(e)
    return out


def compare(got, want, path=""):
    """Differences of every key that `want` names."""
    diffs = []
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return [f"{path}: {got!r} is not an object"]
        for k, v in want.items():
            if k not in got:
                diffs.append(f"{path}.{k}: missing")
            else:
                diffs += compare(got[k], v, f"{path}.{k}")
    elif isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            return [f"{path}: lengths differ"]
        for i, v in enumerate(want):
            diffs += compare(got[i], v, f"{path}[{i}]")
    elif got != want or type(got) is not type(want):
        diffs.append(f"{path}: {got!r} != {want!r}")
    return diffs


def main(argv=None):
    p = argparse.ArgumentParser()
    p.add_argument("command", choices=("dump", "check"))
    p.add_argument("file")
    p.add_argument("--keys")
    p.add_argument("--enc-kid")
    p.add_argument("--sign-kid")
    p.add_argument("--expect")
    p.add_argument("--require-encrypted", action="store_true")
    p.add_argument("--no-data", action="store_true")
    a = p.parse_args(argv)
    keys = Keys.load(a.keys, a.enc_kid, a.sign_kid) if a.keys else None
    try:
        with open(a.file, "rb") as f:
            buf = f.read()
        got = facts(buf, keys, a.require_encrypted, not a.no_data)
    except FormatError as e:
        print(json.dumps({"error": {"code": e.code, "message": e.message}}))
        return 1
    if a.command == "dump":
        print(json.dumps(got, indent=1, ensure_ascii=False))
        return 0
    with open(a.expect) as f:
        want = json.load(f)
    want = want.get("expected", want)
    diffs = compare(got, want)
    if diffs:
        print(json.dumps({"error": {"code": "Mismatch", "message": "; ".join(diffs)}}))
        return 2
    print(json.dumps({"ok": True, "tensors": len(got["tensors"])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
