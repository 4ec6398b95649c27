"""The most memory that one engine with a model takes; bench/cpu.py starts it as a process.

Prints JSON: bytes of the peak (resident, from loading to a short answer), of weights, of used KV.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import torch

from branchline.runtime import engine_protocol, protocol
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.memory.kv_pool import KVPool
from branchline.runtime.models.config import read_config
from branchline.runtime.models.loader import weight_files
from branchline.runtime.models.resolve import resolve_model

PROMPT, NEW = 128, 16


def main(model: str) -> None:
    core = EngineCore(EngineConfig(model=model, dtype="bfloat16"))
    sampling = protocol.SamplingParams(max_new_tokens=NEW, temperature=0.0, ignore_eos=True)
    core.submit(engine_protocol.Submit(0, list(range(300, 300 + PROMPT)), sampling))
    while core.has_work:
        core.step()
    config = read_config(resolve_model(model))
    slot = KVPool.bytes_per_slot(
        config.num_layers, config.num_kv_heads, config.head_dim, torch.bfloat16
    )
    weights = sum(path.stat().st_size for path in weight_files(resolve_model(model)))
    print(json.dumps({"peak": peak_bytes(), "weights": weights, "kv": slot * (PROMPT + NEW)}))


def peak_bytes() -> int:
    """The most that was resident since this program began. getrusage's figure is none of it: a
    process that was started by a large one begins with that one's."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise RuntimeError("/proc/self/status does not say VmHWM; this bench needs Linux")
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1])
