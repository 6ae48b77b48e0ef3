"""Files of tensors: every format gives the same tensors, damage is noticed, nothing is unpickled."""

from __future__ import annotations

import contextlib
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart.backbones import tensors
from headstart.errors import BackboneError, MissingExtraError

SAMPLE = {"b": torch.arange(6, dtype=torch.float32).reshape(2, 3), "a.bias": torch.tensor([1.5, -2.0])}


def save(path: Path, values: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        tensors.write(path, values, {"origin": "a test"})
    elif path.suffix == ".pth":
        torch.save(values, path)
    elif path.suffix == ".onnx":
        import onnx

        items = [onnx.numpy_helper.from_array(tensor.numpy(), name) for name, tensor in values.items()]
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], items)), path)
    else:
        import h5py

        with h5py.File(path, "w") as file:
            for name, tensor in values.items():
                file[name] = tensor.numpy()
    return path


FORMATS = [".safetensors", ".pth", ".onnx", ".h5"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_digest(suffix: str, tmp_path: Path) -> None:
    if suffix == ".h5":
        pytest.importorskip("h5py")
    found = tensors.read(save(tmp_path / f"w{suffix}", SAMPLE))
    assert tensors.digest(found) == tensors.digest(SAMPLE)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_checkpoint_around_the_weights_is_opened(key: str, tmp_path: Path) -> None:
    torch.save({key: SAMPLE, "epoch": 3}, tmp_path / "w.pth")
    assert tensors.digest(tensors.read(tmp_path / "w.pth")) == tensors.digest(SAMPLE)


named = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(
        lambda v: torch.tensor(v, dtype=torch.float32)
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=60)
@given(named, st.randoms())
def test_the_digest_ignores_order_and_storage(values: dict[str, torch.Tensor], random: object) -> None:
    names = list(values)
    random.shuffle(names)  # type: ignore[attr-defined]
    spaced = {name: torch.stack([values[name], values[name]], dim=-1)[..., 0] for name in names}
    assert tensors.digest(spaced) == tensors.digest(values)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=6))
def test_the_digest_notices_everything_else(numbers: list[float]) -> None:
    tensor = torch.tensor(numbers, dtype=torch.float32)
    digest = tensors.digest({"w": tensor})
    bits = tensor.clone().view(torch.int32)
    bits[0] ^= 1
    others = [
        {"v": tensor},
        {"w": tensor.reshape(1, -1)},
        {"w": tensor.view(torch.int32)},
        {"w": bits.view(torch.float32)},
        {"w": tensor[:-1], "w2": tensor[-1:]},
        {},
    ]
    assert digest not in {tensors.digest(other) for other in others}


def test_the_digest_of_half_precision_and_of_nothing() -> None:
    assert tensors.digest({"w": torch.zeros(2, dtype=torch.bfloat16)}) != tensors.digest(
        {"w": torch.zeros(2, dtype=torch.float16)}
    )
    assert len(tensors.digest({"w": torch.zeros(0, 3), "s": torch.tensor(1)})) == 64


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".onnx"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.98))
def test_a_file_cut_short_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    values = {"w": torch.randn(50, 50)}
    content = save(tmp_path / f"w{suffix}", values).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    found: dict[str, torch.Tensor] = {}
    with contextlib.suppress(BackboneError):
        found = tensors.read(cut)
    # What remains of an .onnx file can be a whole, emptier message: it must not pass for the weights.
    assert suffix == ".onnx" or not found
    assert tensors.digest(found) != tensors.digest(values)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".onnx"])
def test_noise_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(BackboneError, match="noise"):
        tensors.read(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".onnx"])
def test_a_missing_file_is_an_error_that_names_it(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="absent"):
        tensors.read(tmp_path / f"absent{suffix}")


class Bomb:
    """What a malicious checkpoint holds: unpickling it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_never_run(zipped: bool, tmp_path: Path) -> None:
    target, path = tmp_path / "owned", tmp_path / "bomb.pth"
    if zipped:
        torch.save({"w": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps({"w": Bomb(target)}, protocol=2))
    with pytest.raises(BackboneError):
        tensors.read(path)
    assert not target.exists()


def test_a_checkpoint_that_is_no_dictionary(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(BackboneError, match="list instead of named tensors"):
        tensors.read(tmp_path / "list.pth")


def test_an_unknown_ending(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"\.safetensors, \.onnx, \.onnx\.zip, \.h5, \.pth"):
        tensors.read(tmp_path / "weights.pkl")


def test_h5_without_h5py_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="pip install h5py"):
        tensors.read(tmp_path / "w.h5")


def test_what_is_read_can_be_trained_and_outlives_its_file(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", SAMPLE)
    found = tensors.read(path)
    path.write_bytes(b"")
    found["b"] += 1
    np.testing.assert_array_equal(found["b"].numpy(), SAMPLE["b"].numpy() + 1)
