"""A stand-in for CUDA graphs on the CPU: updates are recorded kernel by kernel, watched, and replayed.

What a graph cannot hold is an error while it is recorded: reading a tensor on the host, shapes that depend on values,
tensors made of Python numbers (a GPU would be sent them), generators that are not registered. A replay makes the same
kernels again on the same memory, so that numbers that were frozen and state that was rebound show in the results; and
where replays are checked, each update is recorded anew and compared with the first recording.
"""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentover.training import capture
from latentover.training.capture import recordable

aten = torch.ops.aten
READS = {aten._local_scalar_dense, aten.is_nonzero, aten.equal}
SHAPED_BY_VALUES = {
    aten.nonzero,
    aten.nonzero_static,
    aten.masked_select,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
    aten.histc,
    aten.repeat_interleave,
}
INDEXED = {aten.index, aten.index_put, aten.index_put_}
SENT = {aten.lift_fresh, aten.lift}
METHODS_THAT_READ = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.cpu, Tensor.item}


class CaptureFault(RuntimeError):  # noqa: N818
    """What a CUDA graph cannot hold."""


@dataclass
class Kernel:
    function: object
    args: tuple
    kwargs: dict
    outputs: list

    def again(self):
        """Make it once more, with its results where they were."""
        made = self.function(*self.args, **self.kwargs)
        returns = self.function._schema.returns
        for out, new, told in zip(self.outputs, _listed(made), _spread(returns, made), strict=True):
            if told.alias_info is None and isinstance(out, Tensor):
                out.copy_(new)


def _listed(made):
    if made is None:
        return []
    return list(made) if isinstance(made, tuple | list) else [made]


def _spread(returns, made):
    """Return what the schema says of each result; a kernel that returns a list says it once."""
    return returns if len(returns) == len(_listed(made)) else [returns[0]] * len(_listed(made))


class _Methods(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in METHODS_THAT_READ:
            raise CaptureFault(f"the host reads a tensor by {function.__name__}")
        if function is Tensor.to and any(isinstance(leaf, torch.device | str) for leaf in tree_leaves((args, kwargs))):
            raise CaptureFault("a tensor is sent to a device")
        return function(*args, **(kwargs or {}))


class Tape(TorchDispatchMode):
    """Records the kernels that run inside."""

    def __init__(self, generators):
        super().__init__()
        self.generators = generators
        self.kernels, self.signature, self.kept, self._own = [], [], [], set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = function.overloadpacket
        if function.namespace != "aten":  # marks of the profiler
            return function(*args, **kwargs)
        self._refuse(function, packet, args, kwargs)
        outputs = function(*args, **kwargs)
        self._sign(function, args, kwargs, outputs)
        self.kernels.append(Kernel(function, args, kwargs, _listed(outputs)))
        return outputs

    def _refuse(self, function, packet, args, kwargs):
        if packet in READS:
            raise CaptureFault(f"the host reads a tensor ({packet})")
        indices = args[1] if packet in INDEXED else ()
        boolean = any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices)
        if packet in SHAPED_BY_VALUES or boolean:
            raise CaptureFault(f"a shape depends on values ({packet})")
        if packet in SENT:
            raise CaptureFault(f"a tensor is made of Python numbers and sent to the device ({packet})")
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, torch.Generator) and not any(
                torch.equal(leaf.get_state(), known.get_state())
                for known in (*self.generators, torch.default_generator)
            ):
                raise CaptureFault("a generator is not registered")

    def _sign(self, function, args, kwargs, outputs):
        """Write down what has to be the same each time: the kernel, its numbers, its shapes, where it reads."""
        said = [str(function)]
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                self.kept.append(leaf)
                place = leaf.untyped_storage().data_ptr()
                said += [tuple(leaf.shape), "own" if place in self._own else (place, leaf.storage_offset())]
            elif not isinstance(leaf, torch.Generator):
                said.append(leaf)
        self.signature.append(said)
        for out, told in zip(_listed(outputs), _spread(function._schema.returns, outputs), strict=True):
            if isinstance(out, Tensor) and told.alias_info is None:
                self.kept.append(out)
                self._own.add(out.untyped_storage().data_ptr())


def _one_hot_of_a_gpu(x, num_classes):
    """Without the look at the largest class that the CPU takes."""
    return torch.zeros(*x.shape, num_classes, dtype=torch.int64).scatter_(-1, x.unsqueeze(-1), 1)


class TapeRecorder:
    """Records on the CPU, for the engine.

    Parameters
    ----------
    check : bool
        Whether a replay records the update anew, which makes it, and compares; otherwise the kernels run again.
    """

    def __init__(self, *, check=False):
        self.check, self.n_recorded, self.n_replayed = check, 0, 0

    def place(self):
        return nullcontext()

    def record(self, update, generators):
        first = self._taped(update, generators)
        self.n_recorded += 1

        def replay():
            self.n_replayed += 1
            if self.check:
                self._compare(first, self._taped(update, generators))
                return
            with torch.no_grad():
                for kernel in first.kernels:
                    kernel.again()

        return replay

    @staticmethod
    def _taped(update, generators):
        tape = Tape(generators)
        with recordable(), mock.patch.object(F, "one_hot", _one_hot_of_a_gpu), _Methods(), tape:
            update()
        return tape

    @staticmethod
    def _compare(first, again):
        if len(first.signature) != len(again.signature):
            raise CaptureFault(f"{len(first.signature)} kernels at first, {len(again.signature)} later")
        for one, other in zip(first.signature, again.signature, strict=True):
            if one != other:
                raise CaptureFault(f"an update differs from its recording: {one} at first, {other} later")


@contextmanager
def taped(monkeypatch, recorder):
    """Let engines made inside record with this recorder, on the CPU."""
    with monkeypatch.context() as patch:
        patch.setattr(capture, "recorder_for", lambda device: recorder)
        yield recorder
