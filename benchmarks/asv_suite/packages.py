"""Models of many tensors, and importing the package."""

import subprocess
import sys

import numpy as np

import fastxavier as fx

from .axes import THREADS, fill

LAYERS, WIDTH = 12, 768


def model():
    """The names and shapes of the smallest GPT-2."""
    shapes = {"wte.weight": (50_257, WIDTH), "wpe.weight": (1024, WIDTH)}
    for i in range(LAYERS):
        for name, rows, columns in (
            ("attn.c_attn", 3 * WIDTH, WIDTH),
            ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", 4 * WIDTH, WIDTH),
            ("mlp.c_proj", WIDTH, 4 * WIDTH),
        ):
            shapes[f"h.{i}.{name}.weight"] = (rows, columns)
            shapes[f"h.{i}.{name}.bias"] = (rows,)
        for name in ("ln_1", "ln_2"):
            shapes[f"h.{i}.{name}.weight"] = shapes[f"h.{i}.{name}.bias"] = (WIDTH,)
    return {name: np.full(shape, 1, np.float32) for name, shape in shapes.items()}


def tiny_model():
    """A thousand tensors of a few values: what is timed is the cost per tensor."""
    return {f"layers.{i}.bias": np.zeros(8, np.float32) for i in range(1000)}


MODELS = {"GPT-2": model, "a thousand biases": tiny_model}


class Model:
    params = (list(MODELS), THREADS)
    param_names = ("model", "threads")

    def setup(self, name, threads):
        if not hasattr(fx, "init_"):
            raise NotImplementedError("this commit cannot initialize models")
        self.arrays = MODELS[name]()

    def time_init(self, name, threads):
        fx.init_(self.arrays, seed=7, threads=threads)

    def time_one_by_one(self, name, threads):
        distribution = fx.Uniform(-0.05, 0.05)
        for array in self.arrays.values():
            fill(array, distribution, threads)


class Prepared:
    """Filling a model that has been prepared, and one array of as many values."""

    params = (["uniform", "normal"], THREADS)
    param_names = ("distribution", "threads")

    def setup(self, distribution, threads):
        if not hasattr(fx, "prepare"):
            raise NotImplementedError("this commit cannot prepare models")
        memory = np.ones((10_000, 25, 40), np.float32)
        plan = fx.Plan([fx.Rule("*", f"he_{distribution}")])
        self.small = fx.prepare({f"{i}.weight": one for i, one in enumerate(memory)}, plan)
        self.large = fx.prepare({"weight": memory.reshape(10_000, 1000)}, plan)

    def time_ten_thousand_tensors(self, distribution, threads):
        self.small.init_(seed=7, threads=threads)

    def time_one_tensor(self, distribution, threads):
        self.large.init_(seed=7, threads=threads)


class Import:
    def timeraw_fastxavier(self):
        return "import fastxavier"

    def timeraw_numpy_alone(self):
        return "import numpy"

    def track_modules(self):
        """Modules that importing the package loads beside NumPy's."""
        count = "import sys, {}; print(len(sys.modules))"
        numpy, package = (
            int(subprocess.check_output([sys.executable, "-c", count.format(name)]))
            for name in ("numpy", "fastxavier")
        )
        return package - numpy

    track_modules.unit = "modules"
