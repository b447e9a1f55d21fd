import json

import numpy as np
import pytest
from PIL import Image

from latentover.data.folders import describe_folder, read_folder
from latentover.data.pictures import ImageFiles


def save(path, size=(6, 4), mode="RGB", value=0):
    """Write an image of one colour; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(Image.new(mode, (1, 1)).getbands())
    Image.new(mode, size, value if channels == 1 else (value,) * channels).save(path)


@pytest.fixture
def folder(tmp_path):
    for c, name in enumerate(["cat", "dog"]):
        for number in range(3):
            save(tmp_path / name / f"{number}.png", value=10 * c + number)
    return tmp_path


def everything(files):
    return files[np.arange(len(files))]


def test_reads_class_folders_in_sorted_order(folder):
    source = read_folder(folder)
    assert source.name == folder.name
    assert source.y.tolist() == ["cat"] * 3 + ["dog"] * 3
    assert source.y_test is None
    assert source.X.shape == (6, 3, 4, 6)
    assert source.image_shape == (3, 4, 6)
    images = everything(source.X)
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]


def test_decodes_what_is_asked_for(folder):
    source = read_folder(folder)
    assert source.X[np.array([4, 1])][:, 0, 0, 0].tolist() == [11, 1]


def test_pixels_lie_where_they_should(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.png")
    assert np.array_equal(everything(read_folder(tmp_path).X)[0], pixels.transpose(2, 0, 1))


def test_train_and_test_folders(tmp_path):
    for part, names in {"train": "abc", "test": "ac", "valid": "abcd"}.items():
        for name in names:
            save(tmp_path / part / name / "x.png")
    with pytest.warns(UserWarning, match="the folder valid is passed over"):
        source = read_folder(tmp_path)
    assert source.y.tolist() == ["a", "b", "c"]
    assert source.y_test.tolist() == ["a", "c"]
    assert len(source.X_test) == 2


def test_train_folder_alone(tmp_path):
    for name in "ab":
        save(tmp_path / "train" / name / "x.png")
    assert read_folder(tmp_path).y_test is None


def test_a_class_may_be_called_train(tmp_path):
    for name in ["bus", "train"]:
        save(tmp_path / name / "x.png")
    assert read_folder(tmp_path).y.tolist() == ["bus", "train"]


def test_nested_hidden_and_other_files(folder):
    save(folder / "cat" / "more" / "9.PNG")
    save(folder / "cat" / ".thumbnails" / "9.png")
    save(folder / ".cache" / "9.png")
    (folder / "cat" / "._0.png").write_bytes(b"no image")
    (folder / "cat" / "Thumbs.db").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"1 file of other endings \(.db\) and 1 hidden file"):
        assert read_folder(folder).y.tolist() == ["cat"] * 4 + ["dog"] * 3


@pytest.mark.parametrize(
    ("suffix", "modes"),
    [("png", ["L", "1", "LA"]), ("jpg", ["L"]), ("bmp", ["L"]), ("tif", ["L"])],
)
def test_grey_images_have_one_channel(tmp_path, suffix, modes):
    for mode in modes:
        for name in "ab":
            save(tmp_path / name / f"{mode}.{suffix}", mode=mode, value=255)
    images = everything(read_folder(tmp_path).X)
    assert images.shape[1] == 1
    assert (images >= 254).all()


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "RGB"])
def test_one_colour_image_makes_all_rgb(tmp_path, mode):
    save(tmp_path / "a" / "1.png", mode="RGB", value=200)
    save(tmp_path / "b" / "1.png", mode=mode, value=0)
    images = everything(read_folder(tmp_path).X)
    assert images.shape == (2, 3, 4, 6)
    assert images[0].min() == 200
    assert images[1].max() == 0


def test_palette_images_are_colour(tmp_path):
    for name in "ab":
        save(tmp_path / name / "1.gif", mode="L", value=255)
    assert everything(read_folder(tmp_path).X).shape == (2, 3, 4, 6)


def test_a_colour_image_in_the_test_split_counts(tmp_path):
    for name in "ab":
        save(tmp_path / "train" / name / "1.png", mode="L")
    save(tmp_path / "test" / "a" / "1.png", mode="RGB")
    source = read_folder(tmp_path)
    assert source.X.shape[1] == source.X_test.shape[1] == 3


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_image_size_resizes(tmp_path, suffix):
    save(tmp_path / "a" / f"1.{suffix}", size=(300, 200), value=90)
    save(tmp_path / "b" / f"1.{suffix}", size=(6, 4), value=90)
    images = everything(read_folder(tmp_path, image_size=[8, 5]).X)
    assert images.shape == (2, 3, 8, 5)
    assert np.abs(images.astype(int) - 90).max() <= 2


def test_mixed_sizes(folder):
    save(folder / "dog" / "big.png", size=(60, 40))
    message = r"one size, but got 4x6 .* in .*0\.png and 40x60 in .*big\.png; set `image_size`, for example to \[4, 6\]"
    with pytest.raises(ValueError, match=message):
        read_folder(folder)


def test_not_an_image(folder):
    (folder / "dog" / "broken.png").write_bytes(b"this is text")
    with pytest.raises(ValueError, match=r"Expected .*broken\.png to be a readable image, but got Unidentified"):
        read_folder(folder)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_image(folder, suffix):
    path = folder / "dog" / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-30])
    source = read_folder(folder)
    with pytest.raises(ValueError, match=rf"Expected .*cut\.{suffix} to be a readable image"):
        everything(source.X)


def test_sixteen_bits(folder):
    Image.fromarray(np.zeros((4, 6), dtype=np.uint16)).save(folder / "dog" / "deep.png")
    # By its version, Pillow reads them in mode "I" or "I;16".
    with pytest.raises(ValueError, match=r"8 bits a channel, but got Pillow mode 'I(;16)?' in .*deep\.png"):
        read_folder(folder)


def test_no_class_folders(tmp_path):
    save(tmp_path / "1.png")
    with pytest.raises(ValueError, match="one folder of images for each class, but got no folders"):
        read_folder(tmp_path)


def test_one_class_folder(tmp_path):
    save(tmp_path / "cat" / "1.png")
    with pytest.raises(ValueError, match="at least 2 class folders, but got only 'cat'"):
        read_folder(tmp_path)


def test_empty_class_folder(folder):
    (folder / "eel").mkdir()
    (folder / "eel" / "notes.txt").write_text("none yet")
    with pytest.raises(ValueError, match=r"every class folder of .* to hold images .* but got none in 'eel'"):
        read_folder(folder)


def test_test_class_that_is_not_trained(tmp_path):
    for path in ["train/a", "train/b", "test/a", "test/z"]:
        save(tmp_path / path / "1.png")
    with pytest.raises(ValueError, match=r"but got \['z'\] besides; rename or remove"):
        read_folder(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected a folder of images, but got .*nowhere"):
        read_folder(tmp_path / "nowhere")


def test_many_files_come_in_order(tmp_path):
    for number in range(300):
        save(tmp_path / "a" / f"{number:03d}.png", size=(2, 2), mode="L", value=number % 256)
    files = ImageFiles(sorted((tmp_path / "a").iterdir()), (1, 2, 2))
    assert everything(files)[:, 0, 0, 0].tolist() == [number % 256 for number in range(300)]


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("TRAIN", "test"), ("train", "TESTING")])
def test_parts_of_the_data_in_other_spellings(tmp_path, train, test):
    for part in (train, test):
        for name in "ab":
            save(tmp_path / part / name / "x.png")
    source = read_folder(tmp_path)
    assert source.y.tolist() == source.y_test.tolist() == ["a", "b"]
    assert source.class_names == {}


def test_what_is_passed_over_is_said_in_one_line(folder, tmp_path):
    root = tmp_path / "data"
    for part in ("train", "Valid", "old"):
        for name in ("cat", "dog"):
            save(root / part / name / "1.png")
    (root / "train" / "cat" / "notes.txt").touch()
    (root / "train" / "dog" / ".DS_Store").touch()
    save(root / "train" / "loose.png")
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (6, 4)).save(root / "train" / "dog" / "2.png", exif=exif)
    with pytest.warns(UserWarning, match="data: 3 training images;") as said:
        read_folder(root)
    assert len(said) == 1
    assert str(said[0].message).endswith(
        "the folder Valid is passed over, the folder old is passed over, passed over 1 file of other endings (.txt) "
        "and 1 hidden file and 1 image outside of class folders, 1 photo turned upright as EXIF says."
    )


@pytest.mark.parametrize("parts", [["fold_1", "Fold 2"], ["test", "val"], ["Validation"], ["testing", "cat"]])
def test_parts_without_training_data_are_no_classes(tmp_path, parts):
    for part in parts:
        save(tmp_path / part / "a" / "x.png")
    message = r"to hold a folder train with a folder for each class, but got .* without one; rename the one to train on"
    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path)


@pytest.mark.parametrize("parts", [["train", "test"], ["fold1", "fold2"]])
def test_parts_without_class_folders_are_no_classes(tmp_path, parts):
    for part in parts:
        save(tmp_path / part / "x.png")
    with pytest.raises(ValueError, match=f"with a folder for each class, but got {parts[0]}, {parts[1]} without one"):
        read_folder(tmp_path)


def test_two_folders_of_training_data(tmp_path):
    for part in ("train", "Training"):
        save(tmp_path / part / "a" / "x.png")
    with pytest.raises(ValueError, match="one folder of train data, but got Training and train; move one"):
        read_folder(tmp_path)


def test_classes_may_be_links(tmp_path):
    for name in "ab":
        save(tmp_path / "store" / name / "1.png")
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"class {name}").symlink_to(tmp_path / "store" / name)
    assert read_folder(tmp_path / "data").y.tolist() == ["class a", "class b"]


class TestDescription:
    def test_of_one_size(self, folder):
        found = describe_folder(folder)
        assert (found.n_train, found.n_test, found.channels) == (6, 0, 3)
        assert found.sizes == {(4, 6): 6}
        assert found.diagnosis.counts == [3, 3]
        assert "6 images to train on, in colour, all 4x6 pixels (height x width)." in str(found)

    def test_of_several_sizes_with_a_test_split(self, tmp_path):
        for split, n in (("train", 5), ("test", 2)):
            for name in ("cat", "dog"):
                for number in range(n):
                    save(tmp_path / split / name / f"{number}.png", value=number)
        Image.new("L", (9, 40)).save(tmp_path / "train" / "cat" / "tall.png")
        (tmp_path / "train" / "cat" / "notes.txt").touch()
        found = describe_folder(tmp_path)
        assert (found.n_train, found.n_test) == (11, 4)
        assert found.sizes == {(4, 6): 14, (40, 9): 1}
        assert json.loads(json.dumps(found.to_dict()))["sizes"] == {"4x6": 14, "40x9": 1}
        said = str(found)
        assert "11 images to train on and 4 to test on, in colour, of 2 sizes, from 4x6 to 40x9 pixels" in said
        assert "- Sizes differ: image_size gives them all one" in said
        assert "- Passed over 1 file" in said
        assert "11 images to train on and 4 to test on" in found._repr_html_()

    def test_decodes_nothing(self, folder, monkeypatch):
        monkeypatch.setattr("latentover.data.pictures._decode", lambda *_: pytest.fail("decoded"))
        assert describe_folder(folder).n_train == 6
