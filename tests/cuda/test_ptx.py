"""Every kernel is compiled to PTX, which takes NVIDIA's compiler (NVVM), and no GPU."""

import importlib
import re

import numpy as np
import pytest
from conftest import MACHINE, SIMULATED
from on_device import FOLDERS, why_no_compiler


@pytest.fixture(scope="module", params=[(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def capability(request):
    """Of the devices that it is compiled for."""
    return request.param


@pytest.fixture(scope="module")
def kernels(capability):
    """All kernels and their PTX, with one of each kind of the products; skips without compiler."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    if SIMULATED or MACHINE:
        pytest.skip("it is tested where neither is asked for")
    modules = {folder: importlib.import_module(f"fastdl._kernels.{folder}._cuda")
               for folder in sorted(set(FOLDERS.values()))}
    from fastdl.cuda import _launch
    from fastdl.cuda._tile import TILES

    gemm, conv = modules["gemm"], importlib.import_module("fastdl._kernels.conv._cuda_tiles")
    for large, small in TILES.values():
        gemm._product(large, True, False, True)
        gemm._product(small, False, True, False)
        conv.gathered_product(large, False, True)
        conv.gathered_product(small, True, False)
        conv.weight_product(large)
        conv.packing(large.rounded, large.kind[0])
    pool, im2col = modules["pool"], modules["im2col"]
    for dtype in (np.dtype(np.uint8), None):
        pool._backward(dtype, True, True, 3, 3, 2, 2, 1, 1)
    pool._max_pool(np.dtype(np.uint8), 3, 3, 2, 2)
    pool._avg_pool(2, 2, 2, 2)
    im2col._by_tap(3, 3)
    im2col._from_col(3, 3, 1, 1)
    if reason := why_no_compiler(capability):
        pytest.skip(reason)
    # The earlier device rounds to TF32 by another instruction; of the rest it gets some.
    some = [k for i, k in enumerate(_launch.kernels) if capability == (9, 0)
            or "TF32" in k.constants or i % 12 == 0]
    return {f"{k.function.__module__.split('.')[-2]} {k.__name__} {k.constants}":
            (k, k.ptx(capability)) for k in some}


def test_all_compile_and_compute_in_float32(kernels, capability):
    assert len(kernels) > (100 if capability == (9, 0) else 10)
    for name, (_, ptx) in kernels.items():
        assert ptx.count(".entry") == 1, name
        assert ".version 7.8\n.target sm_{}{}".format(*capability) in ptx, name
        assert not re.search(r"\b(add|mul|fma|div|cvt)\S*\.f64", ptx), f"{name} computes in float64"


def test_products_stay_in_registers_and_load_fours(kernels, capability):
    """64 sums a thread, of 8 terms written out, or of 16 on tensor cores; 16 bytes at a time."""
    tensor_core = r"mma\.sync\.aligned\.m16n8k8\.row\.col\.f32\.tf32\.tf32\.f32"
    for name, (kernel, ptx) in kernels.items():
        if kernel.__name__ == "product":
            tf32 = "TF32" in kernel.constants
            assert len(re.findall(tensor_core, ptx)) == (32 if tf32 else 0), name
            rounding = "cvt.rna.tf32.f32" if capability < (9, 0) else "cvt.rn.tf32.f32"
            assert (rounding in ptx) == tf32, name
            assert tf32 or ptx.count("fma.rn.f32") >= 8 * 64, name
            assert tf32 or len(re.findall(r"ld\.shared\.v4\.\w32", ptx)) == 4 * 8, name
            local = re.search(r"\.local \S+ \S+ \S*__local_depot\d+\[(\d+)\]", ptx)
            assert local is None or int(local[1]) < 4 * 64, f"{name}: its sums lie in memory"


def test_nothing_else_has_local_memory(kernels):
    """Small arrays of a thread are registers, too."""
    for name, (kernel, ptx) in kernels.items():
        assert kernel.__name__ == "product" or ".local" not in ptx, name


def test_kept_on_disk(kernels, capability, tmp_path, monkeypatch, capsys):
    from fastdl.cuda._launch import _say_that_it_takes_time

    monkeypatch.setenv("FASTDL_CUDA_CACHE", str(tmp_path / "new"))
    kernel, _ = next(iter(kernels.values()))
    _say_that_it_takes_time.cache_clear()
    ptx = kernel.ptx(capability)
    assert f"they are kept in {tmp_path / 'new'}" in capsys.readouterr().err
    assert [path.read_text() for path in (tmp_path / "new").iterdir()] == [ptx]
    _say_that_it_takes_time.cache_clear()
    monkeypatch.setattr(kernel, "compiled", None)
    assert kernel.ptx(capability) == ptx
    assert not capsys.readouterr().err
