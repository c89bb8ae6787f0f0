"""An initializer as a plan writes it: its name and the settings that are not the defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from fastxavier._scaling import VarianceScaling
from fastxavier._validation import ArgumentTypeError, shown
from fastxavier.distributions import Distribution
from fastxavier.initializers import INITIALIZERS, Initializer

__all__ = ["named"]


def named(initializer: Initializer) -> tuple[str, dict[str, Any]]:
    """The name and the settings by which `initializer_named` makes this initializer again.

    Settings that have their default are left out.
    """
    if isinstance(initializer, VarianceScaling):
        return _named_scaling(initializer)
    for name, row in INITIALIZERS.items():
        if not row.settings and row.make() == initializer:
            return name, {}
        if row.make is type(initializer):
            settings = {key: getattr(initializer, key) for key in row.settings}
            if isinstance(initializer, Distribution):
                settings = initializer._arguments()
            return name, _without_defaults(row.make, settings)
    raise ArgumentTypeError(
        f"initializer is {shown(initializer)}, which has no name in a plan",
        "initializer",
        initializer,
    )


def _named_scaling(scaling: VarianceScaling) -> tuple[str, dict[str, Any]]:
    """The case of the table with this scale and distribution, best the one with this mode."""
    cases = []
    for name, row in INITIALIZERS.items():
        if "mode" in row.settings and "scale" not in row.settings:
            case = row.make()
            alike = case.scale == scaling.scale and case.distribution == scaling.distribution
            # The gain of He's initializers replaces their scale.
            gain_alone = "gain" in row.settings and "negative_slope" not in row.settings
            if alike and (gain_alone or case.gain == scaling.gain):
                cases.append((name, case))
    cases.sort(key=lambda one: one[1].mode != scaling.mode)
    name, case = cases[0] if cases else ("variance_scaling", VarianceScaling())
    kept = {"scale", "mode", "distribution"} if not cases else set()
    settings = {one.name: getattr(scaling, one.name) for one in fields(scaling)}
    return name, {
        key: value for key, value in settings.items() if key in kept or value != getattr(case, key)
    }


def _without_defaults(make: Callable[..., Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Those that a call without them would not give."""
    defaults = {key: one.default for key, one in inspect.signature(make).parameters.items()}
    return {key: value for key, value in settings.items() if value != defaults[key]}
