"""torch tensors as memory: which can be filled, and telling autograd that one was.

torch is never imported here.
_core asks this module when it is given a torch tensor; `verify` reads tensors through it.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastxavier._dtypes import FLOATS
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, with_article

__all__ = [
    "increment_version",
    "increment_versions",
    "is_tensor",
    "memories",
    "numpy_view",
    "strided_memory",
]


def is_tensor(array: Any) -> bool:
    """Whether `array` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, getattr(torch, "Tensor", ()))


def strided_memory(tensor: Any, *, floats: bool = True) -> Any:
    """The tensor without autograd, if its values lie in CPU memory or on a GPU as they are.

    Raises
    ------
    TypeError
        If it is a subclass whose values lie elsewhere, sparse, quantized or nested, or with
        `floats` of a dtype that is not drawn.
    ValueError
        If it is on another device, has no shape yet or has lost its storage, or is a negated or
        conjugated view.
    """
    with sys.modules["torch"]._C.DisableTorchFunctionSubclass():  # a subclass may refuse to be read
        return _strided_memory(tensor, floats)


def _strided_memory(tensor: Any, floats: bool) -> Any:
    torch = sys.modules["torch"]
    kind = type(tensor)
    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
        raise ArgumentValueError(
            f"array is {a_type(tensor)} of a lazy module, which has no shape yet; run the module "
            "once on a batch first",
            "array",
            tensor,
        )
    if kind.__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise ArgumentTypeError(
            f"array is {with_article(f'{kind.__module__}.{kind.__qualname__}')}, whose values lie "
            "elsewhere; give the plain tensor that holds them",
            "array",
            tensor,
        )
    _check_no_mode(tensor)
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise ArgumentTypeError(
            "array is a tensor inside a torch.func transform, which has no memory of its own; give "
            "the tensor outside of it",
            "array",
            tensor,
        )
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        kinds = {"quantized": tensor.is_quantized, "nested": tensor.is_nested}
        what = next((name for name in kinds if kinds[name]), str(tensor.layout))
        raise ArgumentTypeError(
            f"array is a {what} torch tensor; it must be a dense one (torch.strided)",
            "array",
            tensor,
        )
    if tensor.device.type not in ("cpu", "cuda"):
        raise ArgumentValueError(
            f"array is a torch tensor on device {str(tensor.device)!r}; it must be on "
            "'cpu' or 'cuda'"
            + (", which to_empty(device='cpu') makes of it" if tensor.is_meta else ""),
            "array",
            tensor,
        )
    if tensor.is_neg() or tensor.is_conj():
        bit = "negative" if tensor.is_neg() else "conjugate"
        raise ArgumentValueError(
            f"array is a view with torch's {bit} bit, whose memory holds other values than it "
            "shows; give its base, or a copy from resolve_neg() or resolve_conj()",
            "array",
            tensor,
        )
    if floats and str(tensor.dtype).removeprefix("torch.") not in FLOATS:
        raise ArgumentTypeError(
            f"array has dtype {tensor.dtype}; it must be one of {', '.join(FLOATS)}",
            "array",
            tensor.dtype,
            FLOATS,
        )
    memory = tensor.detach()
    if tensor.numel() and _reach(memory) > memory.untyped_storage().nbytes():
        raise ArgumentValueError(
            f"array is a torch tensor of shape {tuple(tensor.shape)} whose storage of "
            f"{memory.untyped_storage().nbytes()} bytes is too "
            "small or has been freed; allocate it first",
            "array",
            tensor,
        )
    return memory


def numpy_view(memory: Any) -> np.ndarray[Any, Any] | None:
    """Memory in the CPU's, as `strided_memory` gives it, as NumPy sees it; None if it cannot.

    torch's ``Tensor.numpy`` would keep the storage from being resized ever after, as FSDP does.
    """
    name = str(memory.dtype).removeprefix("torch.")
    try:
        dtype = FLOATS[name].numpy if name in FLOATS else np.dtype(name)
    except TypeError:
        return None
    if name not in FLOATS and dtype.isbuiltin != 1:  # known once ml_dtypes is imported
        return None
    shape = tuple(memory.shape)
    if not memory.numel():
        return np.empty(shape, dtype)
    interface = {
        "version": 3,
        "shape": shape,
        "typestr": f"|V{dtype.itemsize}",
        "data": (memory.data_ptr(), False),
        "strides": tuple(step * dtype.itemsize for step in memory.stride()),
    }
    # NumPy keeps the object alive, and so the tensor.
    held = SimpleNamespace(__array_interface__=interface, tensor=memory)
    view: np.ndarray[Any, Any] = np.asarray(held).view(dtype)
    return view


def _check_no_mode(tensor: Any) -> None:
    if sys.modules["torch"]._C._len_torch_dispatch_stack():
        raise ArgumentTypeError(
            "array is a torch tensor under a dispatch mode, such as FakeTensorMode, which may show "
            "another tensor in its place; give it outside of the mode",
            "array",
            tensor,
        )


def memories(tensors: list[Any]) -> list[tuple[Any, ...]]:
    """Where the values of tensors lie, for comparison: a tensor can be given other memory in place.

    The tensors are those that `strided_memory` has accepted.
    """
    if not tensors:
        return []
    _check_no_mode(tensors[0])
    with sys.modules["torch"]._C.DisableTorchFunctionSubclass():
        return [
            (
                tensor.data_ptr(),
                tensor.untyped_storage().nbytes(),  # 0 once it has been freed
                tensor.shape,
                tensor.stride(),
                tensor.dtype,
                tensor.is_neg(),
            )
            for tensor in tensors
        ]


def _reach(tensor: Any) -> int:
    """Bytes of storage that the tensor's elements need."""
    last = tensor.storage_offset() + sum(
        (extent - 1) * stride for extent, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return int((last + 1) * tensor.element_size())


def increment_version(tensor: Any) -> None:
    """Tell autograd that the tensor's values have changed."""
    sys.modules["torch"].autograd.graph.increment_version(tensor)


def increment_versions(tensors: list[Any]) -> None:
    """Tell autograd that the values of all of them have changed."""
    try:
        increment_version(tensors)
    except TypeError:  # of an older torch, which takes one tensor
        for tensor in tensors:
            increment_version(tensor)
