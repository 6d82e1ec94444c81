"""Which of the worker's environment variables an engine's process gets: those it needs to run, and no secret."""

from collections.abc import Mapping

_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONHASHSEED",
        "HF_HOME",
        "HF_HUB_OFFLINE",
        "TORCH_HOME",
        "XDG_CACHE_HOME",
    }
)
_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "PYTORCH_", "OMP_", "OPENBLAS_", "MKL_", "NUMBA_")


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What is safe to hand to model code. An allowlist: a secret that is added tomorrow stays out by itself."""
    return {name: value for name, value in environment.items() if name in _NAMES or name.startswith(_PREFIXES)}
