"""An initializer as a plan writes it: its name and the settings that are not the defaults."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from fastxavier._scaling import VarianceScaling
from fastxavier._validation import ArgumentTypeError, shown
from fastxavier.distributions import Distribution
from fastxavier.initializers import INITIALIZERS, Initializer, Row
from fastxavier.structured import StructuredInitializer

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
            settings, defaults = _settings(initializer), _defaults(row)
            return name, {key: v for key, v in settings.items() if v != defaults.get(key)}
    raise ArgumentTypeError(
        f"initializer is {shown(initializer)}, which has no name in a plan",
        "initializer",
        initializer,
    )


def _settings(initializer: Distribution | StructuredInitializer) -> dict[str, Any]:
    if isinstance(initializer, Distribution):
        return initializer._arguments()
    return {one.name: getattr(initializer, one.name) for one in fields(initializer)}  # type: ignore[arg-type]


def _defaults(row: Row) -> dict[str, Any]:
    """The settings that the row has without being given any."""
    if is_dataclass(row.make):
        return {one.name: one.default for one in fields(row.make)}
    try:
        return _settings(row.make())
    except TypeError:  # it has none
        return {}


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
