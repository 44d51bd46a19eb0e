"""The competitors that run in Python: the reference, and safetensors. One request a line, one answer a line (JSON)."""
import gc
import hashlib
import json
import os
import sys
import time

import cryptotensors
import cryptotensors.numpy
import numpy
import safetensors
import safetensors.numpy


def digest(tensors, order):
    h = hashlib.sha256()
    for name in order:
        h.update(numpy.ascontiguousarray(tensors[name]).view(numpy.uint8).reshape(-1).data)
    return h.hexdigest()


def data_order(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    header.pop("__metadata__", None)
    return [name for name, _ in sorted(header.items(), key=lambda item: item[1]["data_offsets"])]


def load_reference(request):
    tensors = cryptotensors.numpy.load_file(request["path"])
    return lambda: digest(tensors, data_order(request["path"]))


def load_safetensors(request):
    tensors = safetensors.numpy.load_file(request["path"])
    return lambda: digest(tensors, data_order(request["path"]))


def slice_reference(request):
    with cryptotensors.safe_open(request["path"], framework="np") as f:
        start = time.perf_counter()
        begin, end = request["rows"]
        rows = f.get_slice(request["name"])[begin:end]
        request["ms"] = (time.perf_counter() - start) * 1000
    return lambda: hashlib.sha256(numpy.ascontiguousarray(rows).tobytes()).hexdigest()


def open_reference(request):
    with cryptotensors.safe_open(request["path"], framework="np") as f:
        tensor = f.get_tensor(request["name"])
    return lambda: hashlib.sha256(numpy.ascontiguousarray(tensor).tobytes()).hexdigest()


SOURCE = {}


def save_reference(request):
    if request["path"] not in SOURCE:
        SOURCE[request["path"]] = safetensors.numpy.load_file(request["path"])
        return save_reference(request)
    start = time.perf_counter()
    cryptotensors.numpy.save_file(SOURCE[request["path"]], request["target"], config=request["config"])
    request["ms"] = (time.perf_counter() - start) * 1000
    return lambda: os.remove(request["target"])


def touch(request):
    """As in node.mjs: whoever comes first would pay for the memory of all."""
    numpy.ones(request["bytes"], numpy.uint8)
    return lambda: None


def evict(request):
    """Puts files out of the system's cache. What is not on the disk yet would stay: it is flushed first."""
    for path in request["paths"]:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
    return lambda: None


WORK = {f.__name__: f for f in (touch, evict, load_reference, load_safetensors, slice_reference, open_reference, save_reference)}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "keys":
                cryptotensors.register_direct_key_provider(keys=request["keys"])
                answer = {}
            else:
                start = time.perf_counter()
                finish = WORK[request["do"]](request)
                answer = {"ms": request.get("ms", (time.perf_counter() - start) * 1000)}
                if request.get("digest") or "target" in request:
                    found = finish()
                    if request.get("digest"):
                        answer["digest"] = found
                del finish
        except BaseException as error:  # the reference also panics
            answer = {"error": repr(error)}
        gc.collect()
        print(json.dumps(answer), flush=True)


main()
