"""A module's tensors under their qualified names, each once. _plan_for.py and _model.py walk it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastxavier._validation import ArgumentTypeError, ArgumentValueError, a_type, shown
from fastxavier.torch._import import torch

__all__ = ["Named", "Site", "modules_of", "walk"]

# What wrappers put between the parts of a name.
_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)\."
)


class Site(NamedTuple):
    """Where a module holds a tensor."""

    owner: Any
    key: str
    is_buffer: bool

    @property
    def held(self) -> dict[str, Any]:
        """The owner's dictionary of parameters, or of buffers."""
        found: dict[str, Any] = self.owner._buffers if self.is_buffer else self.owner._parameters
        return found


@dataclass
class Named:
    """A tensor of a module: its names, the first of which counts, and where it is held."""

    names: list[str]
    tensor: Any
    sites: list[Site] = field(default_factory=list)
    stream: str = ""
    """The name that chooses its rule and its stream: the first, or that of which it is an alias."""

    @property
    def name(self) -> str:
        """The name that errors and reports have."""
        return self.names[0]

    @property
    def is_buffer(self) -> bool:
        """Whether it is a buffer everywhere."""
        return all(site.is_buffer for site in self.sites)


def unwrapped(module: Any) -> Any:
    """The module itself, where DistributedDataParallel or DataParallel is around it."""
    if not isinstance(module, torch.nn.Module):
        raise ArgumentTypeError(
            f"module is {a_type(module)}; it must be a torch.nn.Module", "module", module
        )
    parallel = torch.nn.parallel
    while isinstance(module, (parallel.DistributedDataParallel, parallel.DataParallel)):
        module = module.module
    return module


def modules_of(module: Any) -> Iterator[tuple[str, Any]]:
    """The modules and the beginning of their tensors' names, parents first, without wrappers."""
    for path, one in unwrapped(module).named_modules(remove_duplicate=False):
        yield _WRAPPERS.sub("", f"{path}." if path else ""), one


def walk(module: Any, alias: Mapping[str, str] | None = None) -> list[Named]:
    """All parameters and buffers in the order of the modules; of a tied one all names.

    Parameters
    ----------
    module : torch.nn.Module
        The whole model, or a part of it.
    alias : mapping of str to str, optional
        For names of tensors that should equal others, the names of those. The attribute
        ``all_tied_weights_keys`` of modules, as transformers' have it, is read too.

    Returns
    -------
    list of Named
        One for each tensor.
    """
    found: dict[int, Named] = {}
    aliases: dict[str, str] = {}
    for prefix, one in modules_of(module):
        for is_buffer, held in ((False, one._parameters), (True, one._buffers)):
            for key, tensor in held.items():
                if tensor is None:
                    continue
                entry = found.setdefault(id(tensor), Named([], tensor))
                if f"{prefix}{key}" not in entry.names:
                    entry.names.append(f"{prefix}{key}")
                entry.sites.append(Site(one, key, is_buffer))
        tied = getattr(one, "all_tied_weights_keys", None)
        if isinstance(tied, Mapping):
            aliases |= {f"{prefix}{name}": f"{prefix}{other}" for name, other in tied.items()}
    entries = list(found.values())
    aliases |= _checked(alias, entries)
    for entry in entries:
        others = [aliases[name] for name in entry.names if name in aliases]
        own = [name for name in entry.names if name not in aliases]
        # A name that is no alias comes first, so that all parts of a model agree on it.
        entry.names = own + [name for name in entry.names if name in aliases]
        entry.stream = own[0] if own else others[0]
    return entries


def _checked(alias: Any, entries: list[Named]) -> Mapping[str, str]:
    if alias is None:
        return {}
    if not isinstance(alias, Mapping) or not all(
        isinstance(one, str) for pair in alias.items() for one in pair
    ):
        raise ArgumentTypeError(
            f"alias is {shown(alias)}; it must map names to names, such as "
            '{"head.weight": "emb.weight"}',
            "alias",
            alias,
        )
    for name, other in alias.items():
        if other in alias:
            raise ArgumentValueError(
                f"alias has {name!r} for {other!r}, an alias itself; give {alias[other]!r}",
                "alias",
                alias,
            )
    known = {name for entry in entries for name in entry.names}
    for name in alias:
        if name not in known and alias[name] not in known:
            raise ArgumentValueError(
                f"alias has {name!r} for {alias[name]!r}, and the module has neither",
                "alias",
                alias,
            )
    return alias
