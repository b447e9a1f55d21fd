import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from latentover.networks import build_encoder
from latentover.networks.backbones import (
    build_backbone,
    build_latent_encoder,
    load_backbone,
    network_stages,
    unknown_backbone,
)
from latentover.networks.pretrained import Frozen, fit_weights, is_bundle, read_weights

SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def resnet():
    """A model of torchvision with seven classes, whose running statistics are not those of a new one."""
    from torchvision import models

    torch.manual_seed(0)
    network = models.resnet18(num_classes=7)
    network(torch.rand(4, 3, 32, 32))
    return network


def same(network, other):
    ours, theirs = network.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours if "num_batches" not in name)


class TestReading:
    @pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
    @pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
    def test_of_all_kinds_of_files(self, tmp_path, suffix, wrapper):
        tensors, path = {"a.weight": torch.arange(3.0)}, tmp_path / f"w{suffix}"
        if suffix == ".safetensors":
            save_file(tensors, path)
        else:
            torch.save({wrapper: tensors, "epoch": 3} if wrapper else tensors, path)
        assert {name: value.tolist() for name, value in read_weights(path).items()} == {"a.weight": [0, 1, 2]}

    def test_a_missing_file_says_what_it_may_be(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"Expected encoder_weights to be a file of weights .* no .*x\.pth"):
            read_weights(tmp_path / "x.pth")
        with pytest.raises(FileNotFoundError, match=r"or the folder of a bundle, but there is no .*run/model\.safet"):
            read_weights(tmp_path / "run")

    def test_a_file_of_code_is_refused_and_not_run(self, tmp_path):
        torch.save(nn.Linear(2, 2), tmp_path / "network.pt")
        with pytest.raises(ValueError, match=r"Expected encoder_weights to hold tensors and nothing else"):
            read_weights(tmp_path / "network.pt")
        (tmp_path / "broken.safetensors").write_bytes(b"nothing")
        with pytest.raises(ValueError, match=r"hold tensors and nothing else, but got .*broken\.safetensors"):
            read_weights(tmp_path / "broken.safetensors")
        torch.save({"epoch": 3}, tmp_path / "empty.pt")
        with pytest.raises(ValueError, match=r"a dict without tensors; save them with torch\.save"):
            read_weights(tmp_path / "empty.pt")

    def test_folders_are_bundles(self):
        assert [is_bundle(path) for path in ("a/b", "v1.2", Path("a"), "a.PTH", "cache")] == [True] * 3 + [False] * 2


class TestFitting:
    @pytest.mark.parametrize("prefix", ["", "module.", "networks/encoder.", "encoder.network."])
    def test_names_may_stand_behind_a_prefix(self, prefix):
        torch.manual_seed(0)
        theirs, ours = (build_encoder(SHAPE, 5, encoder="resnet", channels=2) for _ in range(2))
        given = {f"{prefix}{name}": tensor for name, tensor in theirs.state_dict().items()}
        fit_weights(ours, given | ({"networks/classifier.weight": torch.ones(2)} if prefix else {}), "file")
        assert same(ours, theirs)

    def test_a_last_layer_of_another_length_stays(self):
        theirs, ours = (build_encoder(SHAPE, m, encoder="resnet", channels=2) for m in (5, 9))
        dense = ours.dense.weight.detach().clone()
        fit_weights(ours, theirs.state_dict(), "file", head="dense")
        assert same(ours.convolutions, theirs.convolutions)
        assert torch.equal(ours.dense.weight, dense)

    def test_what_does_not_fit_is_named_and_nothing_is_changed(self):
        narrow, wide = (build_encoder(SHAPE, 5, encoder="resnet", channels=n) for n in (2, 3))
        before = {name: tensor.clone() for name, tensor in wide.state_dict().items()}
        with pytest.raises(
            ValueError, match=r"but file has other shapes at convolutions\.0\.0\.weight.*\(2, 3, 3, 3\)"
        ):
            fit_weights(wide, narrow.state_dict(), "file")
        assert all(torch.equal(before[name], tensor) for name, tensor in wide.state_dict().items())

    def test_weights_of_a_deeper_network_are_not_taken_for_those_of_its_beginning(self):
        short, deep = (nn.Sequential(*[nn.Linear(2, 2) for _ in range(n)]) for n in (1, 2))
        with pytest.raises(ValueError, match=r"but file has 1\.weight, 1\.bias beside them"):
            fit_weights(short, deep.state_dict(), "file")
        with pytest.raises(ValueError, match=r"but file lacks 1\.weight, 1\.bias\. Name the network"):
            fit_weights(deep, short.state_dict(), "file")


class TestFrozen:
    def test_weights_and_statistics_stay_and_gradients_pass(self):
        network = build_encoder(SHAPE, 5, encoder="resnet", channels=2)
        frozen = Frozen(network, "dense").train()
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        x = torch.rand(4, *SHAPE, requires_grad=True)
        frozen(x).square().sum().backward()
        assert x.grad.abs().sum() > 0
        assert [name for name, weight in network.named_parameters() if weight.grad is not None] == [
            "dense.weight",
            "dense.bias",
        ]
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())

    def test_stages_are_those_of_the_network(self):
        network = build_encoder(SHAPE, 5, channels=2)
        assert len(network_stages(Frozen(network))) == len(network_stages(network))


class TestPublished:
    def test_of_torchvision_without_the_head(self, resnet, tmp_path):
        torch.save(resnet.state_dict(), tmp_path / "w.pth")
        for freeze in (False, True):
            encoder = build_latent_encoder(
                SHAPE, 4, "torchvision/resnet18", weights=tmp_path / "w.pth", image_size=32, freeze=freeze
            )
            load_backbone(encoder, "torchvision/resnet18", tmp_path / "w.pth")
            body = encoder.backbone.network.body if freeze else encoder.backbone.body
            resnet.fc = nn.Identity()
            assert same(body, resnet)
            images = torch.rand(2, 1, 32, 32)
            mean, std = (torch.tensor(x)[:, None, None] for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
            expected = encoder.head(resnet.eval()((images - mean) / std))
            torch.testing.assert_close(encoder.eval()(images.expand(-1, 3, -1, -1)), expected)

    def test_small_images_are_brought_to_the_size_that_the_weights_saw(self):
        seen = []
        network, _ = build_backbone(SHAPE, "mobilenet_v3_small", weights="file.pth")
        network.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[-2:]))
        network.eval()(torch.rand(1, 3, 32, 32))
        build_backbone(SHAPE, "mobilenet_v3_small", weights="folder")[0].entry(torch.rand(1, 3, 32, 32))
        assert seen == [(224, 224)]
        assert build_backbone(SHAPE, "mobilenet_v3_small", weights="folder")[0].entry.size is None

    def test_the_cache_is_looked_into_and_nothing_is_fetched(self, resnet, tmp_path, monkeypatch):
        from torchvision import models

        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        network = build_backbone(SHAPE, "torchvision/resnet18", weights="cache", image_size=32)[0]
        with pytest.raises(FileNotFoundError, match=r"resnet18-f37072fd\.pth, but .* nothing is fetched unasked; get"):
            load_backbone(network, "torchvision/resnet18", "cache")
        (tmp_path / "checkpoints").mkdir()
        whole = models.resnet18()
        torch.save(whole.state_dict(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
        load_backbone(network, "torchvision/resnet18", "cache")
        whole.fc = nn.Identity()
        assert same(network.body, whole)

    def test_nobody_publishes_weights_of_our_own(self):
        with pytest.raises(ValueError, match=r"nobody publishes weights of, but got 'cache' for 'resnet'"):
            load_backbone(build_backbone(SHAPE, "resnet")[0], "resnet", "cache")

    @pytest.mark.parametrize("error", [ImportError("gone"), RuntimeError("operator torchvision::nms does not exist")])
    def test_without_torchvision_our_own_are_there(self, monkeypatch, error):
        class Broken(types.ModuleType):
            def __getattr__(self, name):
                raise error

        monkeypatch.setitem(sys.modules, "torchvision", Broken("torchvision"))
        assert build_backbone(SHAPE, "resnet32")[1] == 64
        assert unknown_backbone("resnet", "encoder") is None
        problem = unknown_backbone("resnet50", "encoder")
        assert problem.startswith(
            "encoder to be one of ('auto', 'conv', 'resnet', 'resnet32', 'resnet18') or an nn.Mod"
        )
        assert "torchvision cannot be imported" in problem

    def test_without_timm_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        assert "pip install 'latentover[timm]'" in unknown_backbone("timm/resnet18")


class TestTimm:
    """Run where the extra is there."""

    def test_of_timm_without_the_head(self, tmp_path):
        timm = pytest.importorskip("timm")
        theirs = timm.create_model("resnet10t", pretrained=False, num_classes=3)
        torch.save({"state_dict": theirs.state_dict()}, tmp_path / "w.pth")
        network, length = build_backbone(SHAPE, "timm/resnet10t", weights=tmp_path / "w.pth", image_size=32)
        load_backbone(network, "timm/resnet10t", tmp_path / "w.pth")
        theirs.reset_classifier(0)
        assert length == 512
        assert same(network.body, theirs)

    def test_unknown_names_and_sizes(self):
        pytest.importorskip("timm")
        assert "or an nn.Module, but got 'timm/nothing'" in unknown_backbone("timm/nothing")
        with pytest.raises(
            ValueError, match=r"Expected images that timm's vit_tiny_patch16_224 can take.*encoder_size"
        ):
            build_backbone(SHAPE, "timm/vit_tiny_patch16_224")
