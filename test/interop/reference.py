"""The Python side of the interoperation tests: the reference implementation, safetensors and the oracle.

Reads one JSON command per line from standard input and answers each with one line: {"ok": ...} or {"error": text}.
One process serves many cases, and it never forks: the reference deadlocks once its threads have been started.
"""
import base64
import json
import pathlib
import sys

import numpy
import safetensors
import safetensors.numpy

import cryptotensors
import cryptotensors.numpy

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tools"))
import oracle  # noqa: E402

# The names that both Python packages give to the dtypes. Two F4 values go by the byte, so shapes are in bytes there.
PYTHON_DTYPES = {
    "BOOL": "bool", "F4": "float4_e2m1fn_x2", "U8": "uint8", "I8": "int8", "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16",
    "I32": "int32", "U32": "uint32", "F32": "float32", "C64": "complex64", "F64": "float64", "I64": "int64",
    "U64": "uint64",
}


def encoded(data):
    return base64.b64encode(bytes(data)).decode()


def decoded(text):
    return base64.b64decode(text, validate=True)


def array(tensor):
    dtype = numpy.dtype(PYTHON_DTYPES[tensor["dtype"]])
    return numpy.frombuffer(decoded(tensor["data"]), dtype=dtype).reshape(tensor["shape"])


def packed_shape(tensor):
    shape = tensor["shape"]
    return [*shape[:-1], shape[-1] // 2] if tensor["dtype"] == "F4" else shape


def described(name, dtype, shape, data):
    return {"name": name, "dtype": dtype, "shape": list(shape), "data": encoded(data)}


# ---------------------------------------------------------------- the reference

def reference_write(c):
    """`numpy`: what a user calls. `raw`: the level below it, for the dtypes that NumPy lacks."""
    if c["interface"] == "numpy":
        arrays = {t["name"]: array(t) for t in c["tensors"]}
        cryptotensors.numpy.save_file(arrays, c["path"], metadata=c["metadata"], config=c["config"])
    else:
        flat = {t["name"]: {"dtype": PYTHON_DTYPES[t["dtype"]], "shape": packed_shape(t), "data": decoded(t["data"])}
                for t in c["tensors"]}
        cryptotensors.serialize_file(flat, c["path"], metadata=c["metadata"], config=c["config"])


def reference_read(c):
    """All three ways to read it there: lazily, eagerly from the file's bytes, and (NumPy) eagerly from the file."""
    # The provider that was registered before is replaced.
    cryptotensors.register_direct_key_provider(keys=c["keys"])
    with open(c["path"], "rb") as f:
        raw = cryptotensors.deserialize(f.read())
    with cryptotensors.safe_open(c["path"], framework="np") as f:
        answer = {"metadata": f.metadata(), "reserved": sorted(f.reserved_metadata() or {}), "keys": f.offset_keys()}
    tensors = {name: described(name, t["dtype"], t["shape"], t["data"]) for name, t in raw}
    if all(t["dtype"] in cryptotensors.numpy._TYPES for t in tensors.values()):
        for name, value in cryptotensors.numpy.load_file(c["path"]).items():
            if described(name, tensors[name]["dtype"], value.shape, value.tobytes()) != tensors[name]:
                raise AssertionError(f"load_file and deserialize disagree on {name!r}")
    return {**answer, "tensors": list(tensors.values())}


def reference_open_direct(c):
    """Opens with the two keys given directly, whatever the header names."""
    with cryptotensors.safe_open(c["path"], framework="np", config={"enc_key": c["enc"], "sign_key": c["sign"]}) as f:
        return {name: encoded(f.get_tensor(name).tobytes()) for name in f.keys()}


def reference_rewrap(c):
    cryptotensors.register_direct_key_provider(keys=c["keys"])
    cryptotensors.rewrap_file(c["path"], c["config"])


# ---------------------------------------------------------------- safetensors

def safetensors_write(c):
    """`numpy`: what a user calls. `raw`: the level below it, for the dtypes that NumPy lacks."""
    if c["interface"] == "numpy":
        safetensors.numpy.save_file({t["name"]: array(t) for t in c["tensors"]}, c["path"], metadata=c["metadata"])
        return
    buffers = [numpy.frombuffer(decoded(t["data"]), dtype=numpy.uint8) for t in c["tensors"]]
    specs = {t["name"]: safetensors.TensorSpec(dtype=PYTHON_DTYPES[t["dtype"]], shape=packed_shape(t),
                                               data_ptr=b.ctypes.data, data_len=b.nbytes)
             for t, b in zip(c["tensors"], buffers)}
    safetensors.serialize_file(specs, c["path"], metadata=c["metadata"])


def safetensors_read(c):
    with open(c["path"], "rb") as f:
        raw = safetensors.deserialize(f.read())
    with safetensors.safe_open(c["path"], framework="np") as f:
        answer = {"metadata": f.metadata(), "keys": f.offset_keys()}
    return {**answer, "tensors": [described(name, t["dtype"], t["shape"], t["data"]) for name, t in raw]}


# ---------------------------------------------------------------- the oracle

def oracle_facts(c):
    """What `oracle.py dump` prints, and the texts of the header as the oracle computes them from the parsed header."""
    with open(c["path"], "rb") as f:
        buf = f.read()
    header = oracle.parse(buf)
    metadata = header.meta() if header.metadata is not None else None
    return {
        "facts": oracle.facts(buf, oracle.Keys(c["keys"], c.get("enc_kid"), c.get("sign_kid"))),
        "header": header.text,
        "written": oracle.header_text(metadata, header.tensors),
        "signed": oracle.canonical_text(metadata, header.tensors),
    }


COMMANDS = {f.__name__: f for f in (reference_write, reference_read, reference_open_direct, reference_rewrap,
                                    safetensors_write, safetensors_read, oracle_facts)}


def main():
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"ok": COMMANDS[command["op"]](command)}
        # A panic of the reference is a BaseException.
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
