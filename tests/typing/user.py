"""What a type checker says of a user's program: `make lint` runs mypy over it, strictly.

A line with an error that must be reported ignores it by its code; an ignore that is not needed is
itself an error.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

import fastxavier as fx

w: npt.NDArray[np.float32] = np.empty((256, 128), np.float32)

std: float = fx.he_normal(fan_in=3).std
bounds: tuple[float, float] = fx.glorot_uniform(3, 4).bounds
of_fans: fx.Normal = fx.he_normal(fx.fans(w.shape))
of_numpy: fx.Normal = fx.he_normal(np.float32(3), gain=np.float32(2))
value: fx.VarianceScaling = fx.he_normal(mode="fan_out", gain="tanh", layout="keras")
scaled: fx.Distribution | fx.VarianceScaling = fx.variance_scaling(2, "fan_in", "normal", fan_in=3)

filled: npt.NDArray[np.float32] = fx.kaiming_normal_(w, gain="relu", seed=7, stream="fc1.weight")
drawn: npt.NDArray[Any] = fx.draw((256, 128), "he_normal", seed=np.random.default_rng(7))
report: fx.Report = fx.init_({"fc1.weight": w}, fx.Plan([fx.Rule("*", value)]), seed=7)

fx.he_normal(gian=2)  # type: ignore[call-overload]
fx.he_normal(fan_in=3, gian=2)  # type: ignore[call-overload]
fx.he_normal(mode="fan_outt")  # type: ignore[call-overload]
fx.kaiming_normal_(w, gian=2)  # type: ignore[call-arg]
fx.fill_(w, 0)  # type: ignore[arg-type]
fx.nope  # type: ignore[attr-defined]  # noqa: B018
