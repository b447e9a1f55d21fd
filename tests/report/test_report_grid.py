"""Grids of images, pixel by pixel."""

import io

import numpy as np
import pytest
from PIL import Image, ImageChops

from latentover.report import image_grid, minority_grid, save_minority_grid
from latentover.report.grid import GAP, INK, PAPER
from latentover.report.samples import side_by_side
from latentover.runs.reading import read_panels


def pixels(image):
    return np.asarray(image.convert("RGB"))


class TestImageGrid:
    def test_tiles_are_where_they_belong(self):
        shades = np.array([10, 60, 110, 160, 210], np.uint8)
        images = np.broadcast_to(shades[:, None, None, None], (5, 1, 4, 6))
        array = pixels(image_grid(images, columns=3, scale=2))
        assert array.shape == (2 * (8 + GAP) + GAP, 3 * (12 + GAP) + GAP, 3)
        for i, shade in enumerate(shades):
            top, left = GAP + i // 3 * (8 + GAP), GAP + i % 3 * (12 + GAP)
            assert (array[top : top + 8, left : left + 12] == shade).all()
        assert (array[-8:, -12:] == PAPER).all()

    def test_colour_and_hard_edges(self):
        image = np.random.default_rng(0).integers(0, 256, (1, 3, 5, 7), dtype=np.uint8)
        array = pixels(image_grid(image, columns=4, scale=3))[GAP:-GAP, GAP:-GAP]
        np.testing.assert_array_equal(array, image[0].transpose(1, 2, 0).repeat(3, 0).repeat(3, 1))

    def test_float_and_uint8_agree(self):
        image = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
        np.testing.assert_array_equal(pixels(image_grid(image, 2)), pixels(image_grid(image / 255, 2)))

    @pytest.mark.parametrize(("size", "scale"), [(8, 6), (28, 2), (32, 1), (64, 1), (200, 1)])
    def test_small_images_are_enlarged(self, size, scale):
        assert image_grid(np.zeros((1, 1, size, size)), 1).width == size * scale + 2 * GAP

    @pytest.mark.parametrize("shape", [(8, 8), (2, 2, 8, 8), (3, 8, 8, 1), (0, 1, 8, 8)])
    def test_shape_error(self, shape):
        with pytest.raises(ValueError, match=r"Expected \*images\* to be images of shape .* channels second"):
            image_grid(np.zeros(shape), 2)

    def test_other_errors(self):
        with pytest.raises(ValueError, match=r"Expected \*images\* to be uint8 or float in \[0, 1\], .* \[0, 16\]"):
            image_grid(np.array([0.0, 16.0]).reshape(2, 1, 1, 1), 2)
        with pytest.raises(ValueError, match=r"Expected \*columns\* to be at least 1, but got 0"):
            image_grid(np.zeros((1, 1, 8, 8)), 0)
        with pytest.raises(ValueError, match=r"Expected \*scale\* to be at least 1, but got 0"):
            image_grid(np.zeros((1, 1, 8, 8)), 1, scale=0)


PANELS = {"Real": np.full((2, 3, 1, 8, 8), 70, np.uint8), "Synthetic": np.full((2, 2, 1, 8, 8), 140, np.uint8)}


class TestMinorityGrid:
    def test_every_tile_is_drawn_once(self):
        array = pixels(minority_grid(PANELS, ["8 (n=60)", "9 (n=40)"]))
        for shade, n in ((70, 6), (140, 4)):
            assert np.count_nonzero((array == shade).all(axis=2)) == pytest.approx(n * 48 * 48, abs=40)

    def test_panels_from_left_to_right(self):
        array = pixels(minority_grid(PANELS, ["a", "b"]))[..., 0]
        columns = [np.flatnonzero((array == shade).sum(axis=0) > 40) for shade in (70, 140)]
        assert columns[0].max() < columns[1].min()

    @pytest.mark.parametrize(
        "labels", [["9 (n=40)", "8"], ["a name that is far too long for one line (n=12)", "x" * 90]]
    )
    @pytest.mark.parametrize("k", [1, 4])
    def test_text_is_never_clipped(self, labels, k):
        """The margin around the picture stays empty, whatever the letters."""
        tiles = np.full((2, k, 1, 8, 8), 255, np.uint8)
        picture = minority_grid({"Reconstruction of the original": tiles, "Nearest real": tiles}, labels)
        content = ImageChops.difference(picture, Image.new("RGB", picture.size, PAPER)).getbbox()
        assert content is not None
        left, top, right, bottom = content
        assert left >= 8
        assert top >= 8
        assert right <= picture.width - 8
        assert bottom <= picture.height - 8

    def test_labels_are_written_in_ink(self):
        with_label = pixels(minority_grid(PANELS, ["8888", "9999"]))
        assert ((with_label - np.array(INK, int)) == 0).all(axis=2).any()

    def test_nan_leaves_an_empty_place(self):
        tiles = np.zeros((1, 2, 1, 8, 8))
        tiles[0, 1] = np.nan
        array = pixels(minority_grid({"Real": tiles}, [""]))
        assert np.count_nonzero((array == 0).all(axis=2)) == pytest.approx(48 * 48, abs=40)

    def test_errors(self):
        with pytest.raises(ValueError, match=r"Expected \*panels\* to be one panel or more"):
            minority_grid({}, [])
        with pytest.raises(ValueError, match=r"Expected \*panels\['Real'\]\* to be of shape \(1 classes, k,"):
            minority_grid(PANELS, ["only one"])
        other = np.zeros((2, 2, 1, 9, 8))
        with pytest.raises(
            ValueError, match=r"Expected \*panels\* to be of one image size, but got \[\(8, 8\), \(9, 8\)"
        ):
            minority_grid(PANELS | {"Other": other}, ["a", "b"])


class Copier:
    """Returns training images; records what it was asked."""

    def __init__(self, X, y):
        self.X, self.y, self.calls = X, y, []

    def sample(self, n, *, y, random_state):
        self.calls.append((n, y, random_state))
        own = self.X[self.y == y]
        return own[np.random.default_rng(random_state).integers(0, len(own), n)]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = np.repeat(["common", "rare", "middle"], [30, 2, 9])
    return rng.integers(0, 256, (len(y), 3, 8, 8), dtype=np.uint8), y


class TestSaveMinorityGrid:
    def test_rows_by_rising_count(self, data, tmp_path, monkeypatch):
        seen = {}

        def spy(panels, labels):
            seen.update(panels=panels, labels=list(labels))
            return minority_grid(panels, labels)

        monkeypatch.setattr("latentover.report.samples.minority_grid", spy)
        sampler = Copier(*data)
        save_minority_grid(sampler, *data, tmp_path / "grid.png", per_class=3, n_classes=2)
        assert seen["labels"] == ["rare (n=2)", "middle (n=9)"]
        assert list(seen["panels"]) == ["Real", "Synthetic", "Nearest real"]
        np.testing.assert_array_equal(seen["panels"]["Synthetic"], seen["panels"]["Nearest real"])
        assert np.isnan(seen["panels"]["Real"][0, 2]).all(), "only two real images of the rarest class"
        assert [(n, c) for n, c, _ in sampler.calls] == [(3, "rare"), (3, "middle")]
        assert len({seed for *_, seed in sampler.calls}) == 2, "classes get different seeds"

    def test_nearest_is_the_smallest_pixel_distance(self, tmp_path, monkeypatch):
        X = np.array([0, 100, 200, 255], np.uint8).reshape(4, 1, 1, 1) * np.ones((1, 1, 8, 8), np.uint8)
        y = np.array([0, 0, 0, 1])
        panels = {}
        monkeypatch.setattr(
            "latentover.report.samples.minority_grid", lambda p, labels: panels.update(p) or minority_grid(p, labels)
        )

        class Constant:
            def sample(self, n, *, y, random_state):
                return np.full((n, 1, 8, 8), 240.0)

        save_minority_grid(Constant(), X, y, tmp_path / "grid.png", per_class=1)
        by_class = panels["Nearest real"][:, 0, 0, 0, 0] * 255
        np.testing.assert_allclose(by_class, [255, 200])  # class 1 never serves class 0

    def test_reconstructions(self, data, tmp_path):
        sampler = Copier(*data)
        sampler.reconstruct = lambda X: 255 - X
        save_minority_grid(sampler, *data, tmp_path / "with.png")
        del sampler.reconstruct
        save_minority_grid(sampler, *data, tmp_path / "without.png")
        assert Image.open(tmp_path / "with.png").width > Image.open(tmp_path / "without.png").width

    def test_the_panels_lie_beside_the_picture(self, data, tmp_path):
        save_minority_grid(Copier(*data), *data, tmp_path / "grid.png", per_class=3, n_classes=2)
        panels, labels = read_panels(tmp_path / "grid.npz")
        assert labels == ["rare (n=2)", "middle (n=9)"]
        again = minority_grid(panels, labels)
        assert ImageChops.difference(again, Image.open(tmp_path / "grid.png")).getbbox() is None

    def test_same_seed_same_bytes(self, data, tmp_path):
        paths = [tmp_path / f"{i}.png" for i in range(3)]
        for path, seed in zip(paths, (0, 0, 1), strict=True):
            assert save_minority_grid(Copier(*data), *data, path, random_state=seed) == path
        contents = [path.read_bytes() for path in paths]
        assert contents[0] == contents[1] != contents[2]
        assert Image.open(io.BytesIO(contents[0])).info == {}

    def test_float_range_is_inferred(self, data, tmp_path):
        X, y = data
        save_minority_grid(Copier(X, y), X, y, tmp_path / "a.png")
        scaled = X / 127.5 - 1
        save_minority_grid(Copier(scaled, y), scaled, y, tmp_path / "b.png")
        a, b = (pixels(Image.open(tmp_path / name)).astype(int) for name in ("a.png", "b.png"))
        assert np.abs(a - b).max() <= 2

    def test_nothing_is_left_behind_when_sampling_fails(self, data, tmp_path):
        class Broken:
            def sample(self, n, *, y, random_state):
                return np.zeros((n, 8, 8, 3))

        with pytest.raises(
            ValueError, match=r"Expected \*estimator\.sample\(n, y=c\)\* to be images of shape \(4, 3, 8"
        ):
            save_minority_grid(Broken(), *data, tmp_path / "grid.png")
        assert list(tmp_path.iterdir()) == []

    def test_errors(self, data, tmp_path):
        X, y = data
        with pytest.raises(ValueError, match=r"Expected \*X\* to be images of shape"):
            save_minority_grid(Copier(X, y), X.reshape(len(X), -1), y, tmp_path / "grid.png")
        with pytest.raises(ValueError, match=r"Expected \*y\* to be of shape \(41,\), but got \(40,\)"):
            save_minority_grid(Copier(X, y), X, y[1:], tmp_path / "grid.png")
        with pytest.raises(ValueError, match=r"Expected \*per_class\* to be at least 1, but got 0"):
            save_minority_grid(Copier(X, y), X, y, tmp_path / "grid.png", per_class=0)
        with pytest.raises(ValueError, match=r"Expected \*n_classes\* to be at least 1, but got 0"):
            save_minority_grid(Copier(X, y), X, y, tmp_path / "grid.png", n_classes=0)


class TestSideBySide:
    @pytest.fixture
    def grids(self):
        def grid(shade):
            made = np.full((2, 4, 1, 8, 8), shade, np.float16)
            return {"Real": np.zeros_like(made), "Synthetic": made}, ["8 (n=60)", "9 (n=40)"]

        return {"First": grid(0.25), "Second": grid(0.75)}

    def test_the_real_images_and_then_each_method(self, grids):
        real, first = grids["First"][0].values()
        expected = {"Real": real[:, :2], "First": first[:, :2], "Second": grids["Second"][0]["Synthetic"][:, :2]}
        picture = side_by_side(grids, per_class=2)
        assert ImageChops.difference(picture, minority_grid(expected, grids["First"][1])).getbbox() is None

    def test_other_classes_and_sizes_are_left_out(self, grids):
        panels, labels = grids["Second"]
        larger = {name: images.repeat(2, axis=-1) for name, images in panels.items()}
        both = pixels(side_by_side(grids))
        more = {**grids, "Others": (panels, ["0 (n=5)", *labels[1:]]), "Larger": (larger, labels)}
        np.testing.assert_array_equal(pixels(side_by_side(more)), both)

    def test_many_methods_stand_in_bands(self, grids):
        many = {f"Method {i}": grid for i, grid in enumerate([*grids.values()] * 3)}  # 6: two bands of 3
        picture = pixels(side_by_side(many))
        first, second = (pixels(side_by_side(dict(list(many.items())[part]))) for part in (slice(3), slice(3, 6)))
        np.testing.assert_array_equal(picture, np.concatenate([first, second]))

    def test_one_method_is_no_comparison(self, grids):
        assert side_by_side({"First": grids["First"]}) is None
        assert side_by_side({}) is None
