"""A whole model against a plan, tensor by tensor.

Called by `verify` for arrays in memory, and by the command for the files of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from fastxavier._dtypes import FLOATS
from fastxavier._validation import ArgumentError, ArgumentTypeError, ArgumentValueError, shown
from fastxavier._verify.one_array import verify_array, verify_constant
from fastxavier._verify.read import Array, viewed
from fastxavier._verify.report import ModelVerification, Verification
from fastxavier.distributions import Constant
from fastxavier.initializers import Resolved
from fastxavier.plans._depth import plan_of_model

Kind = tuple[str, tuple[int, ...]]  # dtype and shape


def verify_mapping(
    arrays: Mapping[str, Any], plan: Any, false_alarm: float, seed: int | None = None
) -> ModelVerification:
    """The report on arrays in memory; names, shapes and dtypes are checked before any values."""
    chosen = plan_of_model(plan, arrays)
    values, distributions, not_judged = {}, {}, {}
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise ArgumentTypeError(
                f"arrays has the key {shown(name)}; each key must be the name of a tensor, a str",
                "arrays",
                name,
            )
        with _named(name):
            values[name] = viewed(array)
        if chosen.by_depth(name, values[name].shape):
            del values[name]
            not_judged[name] = chosen.unknown
            continue
        distributions[name] = chosen.distribution(name, values[name].shape)
        with _named(name):
            _constant_of(values[name].dtype, distributions[name])
    if not_judged and not values:
        raise ArgumentValueError(
            f"no tensor can be judged, since {chosen.unknown}; {chosen.hint}", "distribution", plan
        )
    report = verify_tensors(values.items(), distributions, false_alarm, seed)
    return replace(report, not_judged=not_judged)


def verify_tensors(
    tensors: Iterable[tuple[str, Array]],
    distributions: Mapping[str, Resolved],
    false_alarm: float,
    seed: int | None = None,
    done: Callable[[str], object] = lambda name: None,
) -> ModelVerification:
    """The report on tensors that come one by one; `done` is told the name of each.

    Their number is that of `distributions`, which has one for each of them, by name.
    """
    share = false_alarm / max(1, len(distributions))
    found = {}
    for name, values in tensors:
        with _named(name):
            found[name] = _verify_tensor(name, values, distributions[name], share, seed)
        done(name)
    return ModelVerification(found, false_alarm, seed)


def _verify_tensor(
    name: str, values: Array, distribution: Resolved, false_alarm: float, seed: int | None
) -> Verification:
    constant = _constant_of(values.dtype, distribution)
    if values.size == 0:
        return Verification(distribution, values.dtype.name, values.shape, false_alarm)
    if constant is not None:
        return verify_constant(values, distribution, constant, false_alarm)
    stream = None if seed is None else name
    return verify_array(values, distribution, false_alarm, seed, stream)


# ---- checks --------------------------------------------------------------------------------------


def _constant_of(dtype: np.dtype[Any], distribution: Resolved) -> int | None:
    """What each value of an array of integers must be; None for floats, which are drawn.

    Raises an error if no plan could have filled an array of this dtype by the distribution.
    """
    if dtype.name in FLOATS:
        return None
    if dtype.kind not in "biuc":
        raise ArgumentTypeError(
            f"array has dtype {dtype}; it must be {', '.join(FLOATS)}, or of integers or truth "
            "values",
            "array",
            dtype,
        )
    least, most = 0, int(dtype.kind == "b")
    if dtype.kind in "iu":
        least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if isinstance(distribution, Constant):
        value = distribution.value
        if value.is_integer() and least <= value <= most:
            return int(value)
    raise ArgumentTypeError(
        f"array has dtype {dtype}, which can only hold a whole constant from {least} to {most}; "
        f"the plan has {distribution!r}",
        "array",
        dtype,
    )


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let errors begin with the name of the tensor."""
    try:
        yield
    except (TypeError, ValueError) as error:
        more = (
            (error.argument, error.value, error.choices) if isinstance(error, ArgumentError) else ()
        )
        raise type(error)(f"tensor {name!r}: {error}", *more) from None


def mismatches(held: Mapping[str, Kind], listed: Mapping[str, Kind]) -> dict[str, str]:
    """How the dtypes and shapes of tensors differ from the ones that they should have."""
    found = {}
    for name in dict.fromkeys((*listed, *held)):
        if name not in held:
            found[name] = "missing"
        elif name not in listed:
            found[name] = "not in the list"
        else:
            pairs = zip(("dtype", "shape"), held[name], listed[name], strict=True)
            wrong = [
                f"{what} {one} instead of {other}" for what, one, other in pairs if one != other
            ]
            if wrong:
                found[name] = ", ".join(wrong)
    return found
