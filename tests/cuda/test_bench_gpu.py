"""``bench/gpu.py``: its checks run in the simulator, and a part that fails leaves the others."""

import json
from pathlib import Path

import pytest
from conftest import SIMULATED


@pytest.fixture
def gpu(device, monkeypatch):
    """The module; on a GPU it is run by hand."""
    if not SIMULATED:
        pytest.skip("the checks at tiny sizes are for the simulator")
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    return pytest.importorskip("bench.gpu")


def test_checks(gpu, tmp_path, capsys):
    table = tmp_path / "table.md"
    assert gpu.main(["--simulate", "--parts", "compiled", "limits", "gemm", "memory", "steps",
                     "--json", str(tmp_path / "gpu.json"), "-o", str(table)]) == 0
    assert "nothing was measured" in table.read_text()
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert {row["part"] for row in rows} == {"gemm", "memory", "steps"}
    assert not any("seconds" in row for row in rows)


def test_a_part_that_fails_and_a_budget_that_ends(gpu, tmp_path, monkeypatch, capsys):
    def broken(bench):
        raise RuntimeError("no luck")
        yield

    monkeypatch.setitem(gpu.PARTS, "conv", broken)
    options = ["--simulate", "--json", str(tmp_path / "gpu.json")]
    assert gpu.main([*options, "--parts", "conv", "compiled"]) == 1
    text = capsys.readouterr().out
    assert "conv failed: RuntimeError: no luck" in text
    assert "first launch" in text
    assert gpu.main([*options, "--parts", "compiled", "gemm", "--budget", "0"]) == 1
    assert "the budget is spent" in capsys.readouterr().out


def test_what_is_said_of_measured_rows(gpu):
    row = {"part": "gemm", "case": "M", "error": 1e-7, "flops": 2e9, "bytes": 0, "note": "",
           "seconds": {"fastdl": 0.001, "PyTorch": 0.0005}}
    text = gpu.line_of(row, {"flop/s": 4e12})
    assert "1000.0 µs" in text
    assert "50.0% of the product's" in text
    assert "0.50 x as fast" in text
    bench = type("Bench", (), {"facts": {"device": "A GPU"}, "limits": {"flop/s": 4e12},
                               "rows": [row], "simulated": False})
    assert "| M | 1000.0 | 2000 |  | 50% | 0.50 |" in gpu.table(bench)
