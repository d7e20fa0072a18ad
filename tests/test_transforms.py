"""Transforms: values by hand and from plain NumPy, alone and fused into one pass."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastdl as fd
from fastdl import transforms
from fastdl.transforms import (
    Batch,
    Compose,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
)


class Fixed:
    """A generator whose draws are given: what `integers` and `random` return, in turn."""

    def __init__(self, *draws):
        self.draws = [np.array(values) for values in draws]

    def integers(self, low, high, size, endpoint):
        values = self.draws.pop(0)
        assert values.shape == (size,)
        assert endpoint
        assert low <= values.min() <= values.max() <= high
        return values

    def random(self, size):
        values = self.draws.pop(0)
        assert values.shape == (size,)
        return values


X = np.arange(12, dtype="float32").reshape(1, 1, 3, 4)          # 0 1 2 3 / 4 5 6 7 / 8 9 10 11


# ---- by hand ----

def test_normalize_by_hand():
    x = np.array([[[[1.0, 2]], [[3, 5]]]])
    np.testing.assert_allclose(Normalize([1, 3], [2, 4])(x), [[[[0, 0.5]], [[0, 0.5]]]])
    np.testing.assert_allclose(Normalize(1, 2)(x), [[[[0, 0.5]], [[1, 2]]]])


def test_bytes_become_numbers_up_to_one():
    x = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    y = Normalize(0.2, 0.5)(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y[0, 0, 0], [-0.4, 0, 1.6], atol=1e-7)
    np.testing.assert_allclose(RandomHorizontalFlip(0)(x)[0, 0, 0], [0, 0.2, 1], rtol=1e-6)


def test_flip_by_hand():
    x = np.concatenate([X, X + 20])
    y = RandomHorizontalFlip(0.3)(x, Fixed([0.29, 0.3]))
    np.testing.assert_array_equal(y[0, 0], [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]])
    np.testing.assert_array_equal(y[1], x[1])


def test_crop_by_hand():
    """With a padding of 1 the first place of the window is one up and one to the left."""
    crop = RandomCrop((2, 3), padding=1, fill=-9)
    np.testing.assert_array_equal(crop(X, Fixed([0], [0]))[0, 0], [[-9, -9, -9], [-9, 0, 1]])
    np.testing.assert_array_equal(crop(X, Fixed([3], [3]))[0, 0], [[10, 11, -9], [-9, -9, -9]])
    np.testing.assert_array_equal(crop(X, Fixed([1], [2]))[0, 0], [[1, 2, 3], [5, 6, 7]])


def test_crop_pads_before_it_normalises_only_if_it_comes_first():
    """As in torchvision: a black edge is -mean / std, or 0."""
    crop, normalize, corner = RandomCrop(1, padding=1), Normalize(0.5, 0.25), ([0], [0])
    assert Compose([crop, normalize])(X, Fixed(*corner)).item() == -2
    assert Compose([normalize, crop])(X, Fixed(*corner)).item() == 0


def test_draws_are_uniform(rng):
    crop = RandomCrop(3, padding=1)
    x = np.arange(1.0, 10).reshape(1, 1, 3, 3).repeat(9000, axis=0)
    centre = crop(x, rng)[:, 0, 1, 1]                   # each of the nine pixels is there equally
    counts = np.bincount(centre.astype(int), minlength=10)[1:]
    assert counts.sum() == 9000
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000 * 8 / 9)     # five standard deviations
    flipped = RandomHorizontalFlip(0.25)(x, rng)[:, 0, 0, 0] == 3
    assert abs(flipped.sum() - 2250) < 5 * np.sqrt(2250 * 0.75)


def test_draws_from_fastdls_generator_unless_told_otherwise():
    flip, x = RandomHorizontalFlip(), np.arange(40.0).reshape(10, 1, 2, 2)
    fd.seed(3)
    first = flip(x)
    fd.seed(3)
    np.testing.assert_array_equal(flip(x), first)
    np.testing.assert_array_equal(flip(x, np.random.default_rng(3)), first)


# ---- fused is the same as one after another ----

def plain(transform, images, generator):
    """The same by slices, padding and a copy for each step; draws as the transform does."""
    if isinstance(transform, Normalize):
        mean, std = (np.reshape(v, (-1, 1, 1)) for v in (transform.mean, transform.std))
        return (images - mean) / std
    if isinstance(transform, RandomHorizontalFlip):
        which = generator.random(len(images)) < transform.p
        return np.where(which[:, None, None, None], images[..., ::-1], images)
    if isinstance(transform, RandomCrop):
        p, (OH, OW) = transform.padding, transform.size
        wide = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=transform.fill)
        H, W = wide.shape[2:]
        top = generator.integers(0, H - OH, len(images), endpoint=True)
        left = generator.integers(0, W - OW, len(images), endpoint=True)
        return np.stack([image[:, i:i + OH, j:j + OW]
                         for image, i, j in zip(wide, top, left, strict=True)])
    return transform(images, generator)


def brighter(images, generator):
    return images + generator.random()


STEPS = st.one_of(
    st.builds(Normalize, st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(0.5, 2)),
    st.builds(RandomHorizontalFlip, st.sampled_from([0, 0.5, 1])),
    st.builds(RandomCrop, st.tuples(st.integers(1, 4), st.integers(1, 3)),
              st.integers(4, 6), st.floats(-1, 1)),
    st.just(brighter))


@given(steps=st.lists(STEPS, max_size=6), count=st.integers(1, 4), seed=st.integers(0, 99),
       dtype=st.sampled_from(["float64", "float32", "uint8"]))
def test_fused_is_the_same_as_one_after_another(steps, count, seed, dtype):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (5, 3, 6, 7)).astype(dtype)
    rows = rng.integers(0, 5, count)
    before = x.copy()
    expected = x[rows].astype(float)
    if dtype == "uint8" and steps and steps[0] is not brighter:
        expected /= 255                                 # whoever of ours sees them first does it
    generator = np.random.default_rng(seed)
    for step in steps:
        expected = plain(step, expected, generator)
    generator = np.random.default_rng(seed)
    y = Compose(steps).extend(Batch(x, rows), generator).images()
    size = 300 * 4 ** sum(isinstance(step, Normalize) for step in steps)
    np.testing.assert_allclose(y, expected, rtol=1e-5,
                               atol=size * (1e-6 if dtype != "float64" else 1e-14))
    np.testing.assert_array_equal(x, before)


def test_one_pass_is_one_call(monkeypatch):
    """Of the kernel, whatever the order; a second crop needs a second."""
    calls = []
    kernel = fd.ops.crop_mirror_normalize
    monkeypatch.setattr(fd.ops, "crop_mirror_normalize",
                        lambda *a, **k: calls.append(1) or kernel(*a, **k))
    crop, flip, normalize = RandomCrop(2, 1), RandomHorizontalFlip(), Normalize(0.5, 0.5)
    for steps, passes in [([crop, flip, normalize], 1), ([normalize, flip, flip, crop], 1),
                          ([flip, crop, crop], 2), ([], 0)]:
        Compose(steps)(X)
        assert len(calls) == passes, steps
        calls.clear()


# ---- where results go ----

@pytest.mark.parametrize("steps", [[], [Normalize(0.5, 2)], [brighter], [Normalize(0, 1), brighter],
                                   [brighter, Normalize(0, 1)]])
@pytest.mark.parametrize("last", [False, True])
def test_out(steps, last, rng):
    x = rng.standard_normal((4, 3, 5, 6)).astype("float32")
    out = np.empty((4, 3, 5, 6), "float32")
    if last:
        out = np.empty((4, 5, 6, 3), "float32").transpose(0, 3, 1, 2)
    expected = Compose(steps)(x, np.random.default_rng(0))
    assert Compose(steps)(x, np.random.default_rng(0), out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_results_are_never_the_users_own_array():
    for steps in ([], [lambda images, generator: np.multiply(images, 2, out=images)]):
        x = X.copy()
        y = Compose(steps)(x)
        assert not np.shares_memory(y, x)
        np.testing.assert_array_equal(x, X)


# ---- mistakes ----

@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Normalize(0, 0), fd.ArgumentError, "Normalize: .*std above 0, got mean 0, std 0"),
    (lambda: Normalize([[1]], 1), fd.ArgumentError, "Normalize: mean and std must be numbers"),
    (lambda: RandomCrop(0), fd.ArgumentError, "RandomCrop: size must be at least 1, got 0"),
    (lambda: RandomCrop((1, 2, 3)), fd.ArgumentError, "RandomCrop: size must be an integer or a p"),
    (lambda: RandomCrop(2.5), fd.ArgumentError, "RandomCrop: size must be made of integers"),
    (lambda: RandomCrop(2, -1), fd.ArgumentError, "RandomCrop: padding must be .* got -1"),
    (lambda: RandomCrop(2, 0.5), fd.ArgumentError, "RandomCrop: padding must be .* got 0.5"),
    (lambda: RandomHorizontalFlip(1.5), fd.ArgumentError, r"p must be in \[0, 1\], got 1.5"),
    (lambda: Compose([3]), fd.ArgumentError, "Compose: a transform must be callable, got int"),
    (lambda: Normalize([0, 0], 1)(X), fd.ShapeError,
     r"Normalize: mean is for 2 channels, images have 1: \(1, 1, 3, 4\)"),
    (lambda: Normalize(0, 1)(X[0]), fd.ShapeError,
     r"Normalize: images must be \(N, C, H, W\), got \(1, 3, 4\)"),
    (lambda: RandomCrop((4, 4))(X), fd.ShapeError,
     r"RandomCrop: size \(4, 4\) is larger than the images \(3, 4\) with padding 0"),
    (lambda: RandomHorizontalFlip()(X[0]), fd.ShapeError, "RandomHorizontalFlip: images must be"),
    (lambda: Compose([lambda images, generator: images[:0]])(X), fd.ShapeError,
     r"transform <lambda>: returned an array \(0, 1, 3, 4\) for 1 images"),
])
def test_mistakes(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_repr_says_what_it_is():
    text = repr(Compose([RandomCrop(32, 4), RandomHorizontalFlip(), Normalize(0.5, 0.25)]))
    assert text == ("Compose([RandomCrop((32, 32), padding=4, fill=0), RandomHorizontalFlip(0.5), "
                    "Normalize(mean=[0.5], std=[0.25])])")


# ---- rotation, colour, erasing, mixing ----

def _draws(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_quarter_turns(interpolation, rng):
    images = rng.random((3, 2, 5, 5))
    for turns in range(4):
        rotate = transforms.RandomRotation((90 * turns, 90 * turns), interpolation)
        np.testing.assert_allclose(rotate(images, _draws()), np.rot90(images, turns, (2, 3)),
                                   atol=1e-12)


def test_a_slanted_turn_as_scipy_s_definition():
    """By 30 degrees counter-clockwise, the point (0, 2) right of the centre goes up."""
    image = np.zeros((1, 1, 9, 9))
    image[0, 0, 4, 6] = 1
    turned = transforms.RandomRotation((30, 30), "bilinear")(image, _draws())
    y, x = np.mgrid[:9, :9]
    total = turned.sum()
    centre = [(turned[0, 0] * axis).sum() / total for axis in (y, x)]
    np.testing.assert_allclose(centre, [4 - 2 * np.sin(np.pi / 6), 4 + 2 * np.cos(np.pi / 6)],
                               atol=0.1)


def test_shifts_stay_in_range(rng):
    images = np.zeros((200, 1, 11, 11))
    images[:, 0, 5, 5] = 1
    moved = transforms.RandomAffine(0, translate=(0.2, 0.1))(images, _draws())
    _, _, y, x = np.nonzero(moved)
    assert set(x - 5) == {-2, -1, 0, 1, 2}
    assert set(y - 5) == {-1, 0, 1}


def test_scale(rng):
    images = rng.random((2, 3, 9, 9))
    twice = transforms.RandomAffine(0, scale=(2, 2))(images, _draws())
    np.testing.assert_allclose(twice[:, :, ::2, ::2], images[:, :, 2:7, 2:7])


def test_colour_by_hand():
    image = np.array([0.2, 0.4, 0.6]).reshape(1, 3, 1, 1) * np.ones((1, 3, 2, 2))
    grey = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    for options, expected in [
            ({"brightness": (1.5, 1.5)}, [0.3, 0.6, 0.9]),
            ({"brightness": (2, 2)}, [0.4, 0.8, 1.0]),
            ({"contrast": (0.5, 0.5)}, [(v + grey) / 2 for v in (0.2, 0.4, 0.6)]),
            ({"saturation": (0, 0)}, [grey] * 3), ({}, [0.2, 0.4, 0.6])]:
        result = transforms.ColorJitter(**options)(image, _draws())
        np.testing.assert_allclose(result[0, :, 0, 0], expected, rtol=1e-12)
    bytes_ = (255 * image).astype(np.uint8)
    assert transforms.ColorJitter(0.4, 0.4, 0.4)(bytes_, _draws()).dtype == np.float32
    assert bytes_[0, 0, 0, 0] == 51                             # the caller's are left alone


def test_hue_as_in_the_standard_library(rng):
    images = rng.random((4, 3, 5, 6))
    images[0, :, 0] = 0.5                                           # greys stay grey
    images[0, 1, 1] = images[0, 0, 1]                               # two channels alike
    for turn in (-0.5, -0.1, 0.0, 0.3):
        turned = transforms.ColorJitter(hue=(turn, turn))(images, _draws())
        pixels = np.moveaxis(images, 1, -1).reshape(-1, 3)
        expected = []
        for pixel in pixels:
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            expected.append(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
        np.testing.assert_allclose(np.moveaxis(turned, 1, -1).reshape(-1, 3), expected, atol=1e-12)
    assert transforms.ColorJitter(hue=0.2)(images.astype(np.float32), _draws()).dtype == np.float32
    grey = images[:, :1]
    np.testing.assert_array_equal(transforms.ColorJitter(hue=0.2)(grey, _draws()), grey)
    with pytest.raises(fd.ArgumentError, match="hue must be within"):
        transforms.ColorJitter(hue=0.6)


def test_erased_rectangles():
    images = np.ones((300, 2, 20, 30), np.float32)
    erased = transforms.RandomErasing(0.5, scale=(0.1, 0.2), ratio=(0.5, 2), value=7)(
        images, _draws())
    assert (images == 1).all()
    areas = []
    for image in erased:
        gone = image[0] == 7
        np.testing.assert_array_equal(gone, image[1] == 7)
        if gone.any():
            rows, columns = gone.any(1).sum(), gone.any(0).sum()
            assert gone.sum() == rows * columns                 # one rectangle
            areas.append(gone.mean())
    assert 120 < len(areas) < 180
    assert 0.08 < min(areas) < 0.11
    assert 0.18 < max(areas) < 0.23


def test_cutout():
    images = np.ones((500, 1, 8, 8), np.float32)
    gone = transforms.Cutout(4)(images, _draws())[:, 0] == 0
    assert gone.sum(axis=(1, 2)).max() == 16
    assert gone.sum(axis=(1, 2)).min() == 4                     # centred on a corner
    assert gone.any(axis=0).all()


def test_mixup(rng):
    x, t = rng.random((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    mixed, targets = transforms.Mixup(0.4, 3)(x.copy(), t, _draws(3))
    share = _draws(3).beta(0.4, 0.4)
    assert targets.sum(axis=1) == pytest.approx(np.ones(6))
    one_hot = np.eye(3)[t]
    partner = [int(np.abs(share * x[i] + (1 - share) * x - mixed[i]).sum(1).argmin())
               for i in range(6)]
    assert sorted(partner) == list(range(6))
    np.testing.assert_allclose(mixed, share * x + (1 - share) * x[partner])
    np.testing.assert_allclose(targets, share * one_hot + (1 - share) * one_hot[partner])
    with pytest.raises(fd.ArgumentError, match="must be floating, got uint8"):
        transforms.Mixup(0.4, 3)(x.astype(np.uint8), t, _draws())


def test_mixing_in_a_training_is_the_same_for_any_number_of_workers():
    (x, t), _ = fd.datasets.digits()
    losses = []
    for workers in (0, 2):
        fd.seed(4)
        trainer = fd.Trainer(fd.models.mlp(image_size=8))
        trainer.fit(x[:60], t[:60], 2, batch_size=20, mix=transforms.Mixup(1.0, 10),
                    workers=workers, progress=False)
        losses.append(trainer.history["loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: transforms.RandomRotation((3, 1)), "degrees must be"),
    (lambda: transforms.RandomAffine(1, translate=(2, 0)), "translate must be two shares"),
    (lambda: transforms.RandomAffine(1, scale=(0, 1)), "scale must be above 0"),
    (lambda: transforms.RandomRotation(3, "cubic"), "interpolation must be"),
    (lambda: transforms.RandomErasing(2), "p must be in"),
    (lambda: transforms.Cutout(0), "size must be at least 1"),
    (lambda: transforms.Mixup(0, 3), "alpha and num_classes")])
def test_arguments_of_augmentation(make, message):
    with pytest.raises(fd.ArgumentError, match=message):
        make()
