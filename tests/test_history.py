"""Curves: as a mapping, in JSON, as a picture."""

import json
import sys

import pytest

import fastdl as fd


@pytest.fixture
def history():
    history = fd.History()
    history.append({"loss": 0.5, "accuracy": 0.25, "val_loss": 0.75, "seconds": 1})
    history.append({"loss": 0.25, "accuracy": 0.5, "val_loss": 0.5, "seconds": 2})
    return history


def test_a_history_is_a_mapping_of_lists(history):
    assert dict(history) == {"loss": [0.5, 0.25], "accuracy": [0.25, 0.5], "val_loss": [0.75, 0.5],
                             "seconds": [1.0, 2.0]}
    assert len(history) == 4
    assert history.epochs == 2
    assert "val_accuracy" not in history
    with pytest.raises(KeyError):
        history["val_accuracy"]


def test_an_empty_history():
    assert fd.History().epochs == 0
    assert repr(fd.History()) == "<History: 0 epochs; last nothing>"
    assert dict(fd.History()) == {}


def test_repr(history):
    assert repr(history) == ("<History: 2 epochs; last loss 0.25, accuracy 0.5, val_loss 0.5, "
                             "seconds 2>")


def test_a_history_made_of_lists_copies_them():
    curves = {"loss": [1.0]}
    history = fd.History(curves)
    history.append({"loss": 2})
    assert curves == {"loss": [1.0]}


# ---- JSON ----

def test_json_and_back(history, tmp_path):
    text = history.to_json(tmp_path / "history.json")
    assert json.loads(text) == dict(history)
    assert json.loads((tmp_path / "history.json").read_text()) == dict(history)
    assert dict(fd.History.from_json(tmp_path / "history.json")) == dict(history)
    assert history.to_json() == text


@pytest.mark.parametrize("text", [
    b"", b"{", b"[1, 2]", b'{"loss": 3}', b'{"loss": ["a"]}', b'{"loss": [null]}', b"\xff\xfe{}"])
def test_json_that_is_no_history(tmp_path, text):
    (tmp_path / "history.json").write_bytes(text)
    with pytest.raises(fd.DataError, match=r"history\.json: not a history in JSON"):
        fd.History.from_json(tmp_path / "history.json")


def test_json_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        fd.History.from_json(tmp_path / "history.json")


# ---- the picture ----

def test_plot_writes_a_picture(history, tmp_path):
    pytest.importorskip("matplotlib")
    figure = history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    loss, accuracy = figure.axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert [list(line.get_ydata()) for line in loss.lines] == [[0.5, 0.25], [0.75, 0.5]]
    assert [list(line.get_xdata()) for line in loss.lines] == [[1, 2], [1, 2]]
    assert [line.get_label() for line in accuracy.lines] == ["training"]


def test_plot_without_a_path_gives_the_figure():
    pytest.importorskip("matplotlib")
    assert len(fd.History({"loss": [1.0]}).plot().axes) == 1


@pytest.mark.parametrize("curves", [{}, {"loss": []}, {"seconds": [1.0]}])
def test_plot_of_nothing(curves, tmp_path):
    with pytest.raises(fd.ArgumentError, match="there is no loss or accuracy to draw yet"):
        fd.History(curves).plot(tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_plot_without_matplotlib(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"needs matplotlib: pip install 'fastdl\[plot\]'"):
        history.plot()
