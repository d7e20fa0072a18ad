"""The reports' exercises as scripts: they run, draw, and print the report's digits."""

import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import cli, examples
from fastdl.examples import kit

FOLDER = Path(examples.__file__).parent
PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = {
    "vanishing_gradient": 1, "optimizers": 1, "overfitting": 1, "simple_convnet": 1,
    "deep_convnet": 1, "cifar_activity": 1, "mnist_keras": 1, "look_inside": 4,
    "cifar_resnet": 1}

# What the reports print; digits that a scan misread are recomputed.
DIGITS = {
    "one_unit": ["[1.3]", "[1.3]", "14.00627815592513", "0.9999991736760774"],
    "classifier": ["[0.6 1.3 2. ]", "[1.02 2.29 3.56 4.83]",
                   "[0.01602796 0.05707321 0.20322929 0.72366954]", "0.323420293360194"],
    "backprop": [
        "[[0.08706577 0.91293423]]", "[[ 0.08706577 -0.08706577]]",
        "[[-0.02611973 -0.02611973 -0.02611973]\n [-0.13059866 -0.13059866 -0.13059866]]",
        "[[ 0.10447893 -0.10447893]\n [ 0.21766443 -0.21766443]\n [ 0.33084994 -0.33084994]]",
        "[[0.1002612  0.3002612  0.5002612 ]\n [0.20130599 0.40130599 0.60130599]]",
        "[0.1002612 0.2002612 0.3002612]",
        "[[0.09895521 0.40104479]\n [0.19782336 0.50217664]\n [0.2966915  0.6033085 ]]",
        "[0.09912934 0.20087066]"],
    "im2col": [
        "[[48  2 74 60  0 56 62 44  0]\n [ 2 74 50  0 56 22 44  0 95]\n"
        " [60  0 56 62 44  0 70 60 21]\n [ 0 56 22 44  0 95 60 21 76]\n"
        " [56 96 73 80 67 13 62 24 85]\n [96 73 30 67 13  1 24 85 17]\n"
        " [80 67 13 62 24 85 69 32 60]\n [67 13  1 24 85 17 32 60 93]]",
        "[[14 76 44 48 76 97 48 34 97]\n [14 34 61 44 48  2 88 48 34]\n"
        " [88  9 34 61  9 53  2 88 35]\n [91 88  9 91  1  9 53  1 31]\n"
        " [96 41 56 57 41 66 57 67 66]\n [64 67 31 56 57 22 75 57 67]\n"
        " [75 63 67 31 63 49 22 75  9]\n [30 75 63 30 23 63 49 23 17]]"],
}


@pytest.fixture(autouse=True)
def nothing_but_the_digits(monkeypatch):
    """No example may look for, or download, data in a quick run."""
    def load(name, **_):
        raise fd.DataError(f"{name}: no network here\nsecond line")

    monkeypatch.setattr(fd.datasets, "load", load)


@pytest.mark.parametrize("name", DIGITS)
def test_digits_of_the_report(name, tmp_path, capsys):
    found = examples.run(name, tmp_path)["findings"]
    assert [finding["ours"] for finding in found] == DIGITS[name]
    assert all(finding["reached"] for finding in found)
    out = capsys.readouterr().out
    assert out.startswith(examples.load(name).TITLE[0])
    assert out.count("as in the report") == len(found)


@pytest.mark.parametrize("name", PICTURES)
def test_a_quick_run_ends_and_draws(name, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    results = examples.run(name, tmp_path / "new", quick=True, seeds=5)
    drawn = sorted((tmp_path / "new").iterdir())
    assert [path.name for path in drawn] == sorted(results["pictures"])
    assert len(drawn) == PICTURES[name]
    assert all(path.read_bytes().startswith(PNG) for path in drawn)
    assert results["findings"]
    assert {finding["reached"] for finding in results["findings"]} == {None}     # it says nothing
    assert results["seeds"] == 1
    json.dumps(results)


def test_the_training_on_cifar_goes_on_where_it_was_cut_off(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    example = examples.load("cifar_resnet")

    def cut_off(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(example, "plot", cut_off)
        with pytest.raises(KeyboardInterrupt):
            examples.run("cifar_resnet", tmp_path, quick=True)
    (checkpoint,) = tmp_path.iterdir()
    monkeypatch.setattr(fd.Trainer, "fit", cut_off)         # all epochs are done
    examples.run("cifar_resnet", tmp_path, quick=True)
    assert not checkpoint.exists()


def test_the_late_gap_is_that_of_the_last_quarter():
    curves = kit.Curves([1, 2, 3, 4, 5], [0.1, 0.5, 0.6, 0.8, 1.0], [0.1, 0.4, 0.5, 0.6, 0.6], None)
    assert examples.load("overfitting").late_gap(curves) == pytest.approx((0.2 + 0.4) / 2)


def test_every_exercise_is_there():
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "kit"}
    assert scripts == set(examples.names()) == set(DIGITS) | set(PICTURES)
    assert list(examples.EXERCISES) == [f"A{i}" for i in range(1, 13)]


@pytest.mark.parametrize("name", examples.names())
def test_scripts_are_short_and_say_what_they_do(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert ast.get_docstring(ast.parse(text))
    assert text.endswith('if __name__ == "__main__":\n    main(example)\n')
    assert len(examples.load(name).TITLE) == 2


def test_a_name_that_is_not_known():
    with pytest.raises(fd.ArgumentError, match="unknown example 'a1'; there are: one_unit, "):
        examples.run("a1")


# ---- the kit ----

def judged(judge):
    run = kit.Run("test", "nowhere")
    judge(run)
    (finding,) = run.results()["findings"]
    return finding["reached"]


@pytest.mark.parametrize(("judge", "reached"), [
    (lambda run: run.equals("x", np.array([1.5]), "[1.5]"), True),
    (lambda run: run.equals("x", 1.5000001, "1.5"), False),
    (lambda run: run.near("x", 0.90, 0.92, 0.03), True),
    (lambda run: run.near("x", 0.90, 0.92, 0.01), False),
    (lambda run: run.near("x", float("nan"), 0.92, 0.01), False),
    (lambda run: run.holds("x", "1", "2", "3", False), False),
    (lambda run: run.shows("x", "1"), None)])
def test_findings(judge, reached, capsys):
    assert judged(judge) is reached
    assert ("not " in capsys.readouterr().out) is (reached is False)


def test_the_median_is_of_as_many_seeds_as_asked_for(tmp_path):
    accuracies = iter([0.3, 0.9, 0.5])
    drawn = []

    def train():
        drawn.append(fd.random.generator().random())
        return kit.Curves([1], [0.0], [next(accuracies)], None)

    assert kit.Run("test", tmp_path, seeds=3).median(train).test == [0.5]
    assert len(set(drawn)) == 3


def test_without_mnist_the_digits_stand_in_and_nothing_is_judged(capsys):
    run = kit.Run("test", "nowhere")
    (x, t), _ = run.data("mnist")
    assert "MNIST is not to be had (mnist: no network here): put its four files" in (
        capsys.readouterr().out)
    assert x.shape == (len(t), 1, 28, 28)
    assert x.dtype == np.float32
    run.near("x", 0.5, 0.5, 0.1)
    assert run.results()["findings"][0]["reached"] is None
    assert "bundled digits" in run.results()["remarks"][0]


def test_nothing_stands_in_for_cifar():
    with pytest.raises(fd.DataError, match="cifar10: no network here"):
        kit.Run("test", "nowhere").data("cifar10")


def test_learn_counts_and_evaluates():
    net = fd.Sequential(fd.layers.Flatten(), fd.layers.Linear(64, 10))
    (x, t), test = fd.datasets.digits()
    trainer = fd.Trainer(net, optimizer="sgd")
    curves = kit.learn(trainer, ((x, t), test), iterations=7, every=3, train_on="all")
    assert curves.iterations == [3, 6, 7]
    assert curves.test[-1] == trainer.evaluate(*test)["accuracy"]
    assert curves.train[-1] == trainer.evaluate(x, t)["accuracy"]


def test_without_matplotlib_it_says_so_before_training(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="the example optimizers needs matplotlib: pip install"):
        examples.run("optimizers", tmp_path, quick=True)


# ---- languages ----

def test_japanese(tmp_path, capsys, monkeypatch):
    """With a font (any will do for the test), labels and texts are Japanese; settings go back."""
    matplotlib = pytest.importorskip("matplotlib")
    before = list(matplotlib.rcParams["font.family"])
    monkeypatch.setattr(kit, "japanese_font", lambda: "DejaVu Sans Mono")
    families = []
    monkeypatch.setattr(kit.Run, "save", lambda run, figure, name="": families.append(
        matplotlib.rcParams["font.family"]))
    examples.run("simple_convnet", tmp_path, lang="ja", quick=True)
    out = capsys.readouterr().out
    assert "テスト正解率: " in out
    assert "レポート: 10 分ほど" in out
    assert families == [["DejaVu Sans Mono"]]
    assert matplotlib.rcParams["font.family"] == before


def test_without_a_japanese_font_it_goes_on_in_english(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(kit, "japanese_font", lambda: None)
    examples.run("classifier", tmp_path, lang="ja")
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert "install one, such as fonts-noto-cjk" in first
    assert second == "Classifier 2-3-4, forward"


def test_a_font_counts_as_japanese_by_its_letters(monkeypatch):
    font_manager = pytest.importorskip("matplotlib.font_manager")
    fonts = [font for font in font_manager.fontManager.ttflist if font.name.startswith("DejaVu")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    assert kit.japanese_font() is None


# ---- the command line ----

def test_list(capsys):
    assert cli.main(["examples", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 14
    assert lines[-2].split()[0] == "cifar_resnet"            # which is no exercise
    assert (Path(lines[-1].split(": ")[1]) / "study.py").exists()
    assert lines[4].split() == ["A5", "vanishing_gradient", "Vanishing", "gradient",
                                "(勾配消失問題)"]


def test_run_some(capsys, tmp_path):
    assert cli.main(["examples", "run", "one_unit", "im2col", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.index("One unit, forward") < out.index("im2col")
    assert not list(tmp_path.iterdir())


def test_run_all(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "EXERCISES", {"A1": "one_unit"})
    monkeypatch.setattr(examples, "MORE", ("classifier",))
    assert cli.main(["examples", "run", "--all", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert list(results) == ["one_unit", "classifier"]
    out = capsys.readouterr().out
    assert "| Classifier 2-3-4, forward | z1 | [0.6 1.3 2. ] | [0.6 1.3 2. ] |" in out


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "give names, or --all"), (["one_unit", "--all"], "give names, or --all"),
    (["one_unit", "nothing"], "unknown example 'nothing'")])
def test_run_of_nothing(arguments, message, capsys):
    assert cli.main(["examples", "run", *arguments]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_the_table_says_what_is_not_reached():
    run = kit.Run("one_unit", "nowhere")
    run.near("accuracy", 0.5, 0.9, 0.1)
    run.equals("W", "1\n2", "1\n2")
    run.remark("why")
    table = examples.results_table({"one_unit": {"title": "T", "seconds": 1.25, **run.results()}})
    assert table.splitlines()[2:] == [
        "| A1 T | accuracy | 0.9 | 0.5000 | within 0.1 | **no** | 1.25 s |",
        "|  | W | 1 <br> 2 | 1 <br> 2 | the same digits | yes |  |",
        "| | *why* | | | | | |"]


# ---- the page ----

def test_the_page_of_a_run(monkeypatch, tmp_path):
    """One example is run into a file; its table lands in its place in the page."""
    monkeypatch.syspath_prepend(FOLDER.parents[1])
    pytest.importorskip("PIL")
    exercises = pytest.importorskip("bench.exercises")
    monkeypatch.setattr(exercises.examples, "names", lambda: ("classifier",))
    first, last = exercises.pages.markers(exercises.NAME)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{first}\nold\n{last}\nafter\n", encoding="utf-8")
    options = ["--json", tmp_path / "run.json", "--pictures", tmp_path, "-o", page]
    exercises.main([str(option) for option in options])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{first}\n\n- ")
    assert text.endswith(f"\n{last}\nafter\n")
    assert "old" not in text
    assert "| A2 Classifier 2-3-4, forward | z1 | [0.6 1.3 2. ] | [0.6 1.3 2. ] |" in text
    page.write_text(f"{first}\n{last}\n", encoding="utf-8")
    exercises.main([*map(str, options), "--saved"])
    assert "z1" in page.read_text(encoding="utf-8")


def test_pictures_for_the_page_are_small(monkeypatch, tmp_path, rng):
    monkeypatch.syspath_prepend(FOLDER.parents[1])
    image = pytest.importorskip("PIL.Image")
    exercises = pytest.importorskip("bench.exercises")
    image.fromarray(rng.integers(0, 256, (50, 60, 3), np.uint8)).save(tmp_path / "big.png")
    exercises.shrink(tmp_path / "big.png", tmp_path / "small.png")
    with image.open(tmp_path / "small.png") as small:
        assert small.size == (60, 50)
        assert len(small.getcolors()) <= exercises.COLOURS
    assert (tmp_path / "small.png").stat().st_size < (tmp_path / "big.png").stat().st_size / 2
