"""Whole modules: `init_`, and what frameworks that initialize parameter by parameter are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, SupportsIndex

from fastxavier import fill as _fill
from fastxavier._dtypes import FLOATS
from fastxavier._streams import Seed, Stream, is_shared, model_seed_now, seed_number
from fastxavier._validation import ArgumentTypeError, ArgumentValueError, of_tensor, shown, truth
from fastxavier.initializers import Initializer, resolve
from fastxavier.plans import Plan, Report
from fastxavier.plans._depth import plan_of_model
from fastxavier.plans._prepared import Prepared, Progress
from fastxavier.plans.presets import unused_of_user
from fastxavier.torch._import import torch
from fastxavier.torch._memory import give_memory, is_meta
from fastxavier.torch._modules import Padded
from fastxavier.torch._plan_for import default_of, defaults_of, plan_of
from fastxavier.torch._shards import Block, blocks_of, is_dtensor, made_by_fsdp
from fastxavier.torch._walk import Named, unwrapped, walk

__all__ = ["ParamInit", "fill_", "init_", "param_init"]


def init_(
    module: Any,
    plan: Plan | str | None = None,
    *,
    seed: Seed,
    device: Any = "cpu",
    materialize: bool = True,
    alias: Mapping[str, str] | None = None,
    threads: SupportsIndex | None = None,
    progress: Progress | bool | None = None,
) -> Report:
    """Initialize all parameters of a module, and buffers, in place: each by its qualified name.

    A tensor gets the values that `fastxavier.init_` and `init_checkpoint` give to this name with
    the same plan and seed, and of a DTensor this process's part of them.

    Parameters
    ----------
    module : torch.nn.Module
        The model, or a part of it. Names are those of its ``state_dict``, without what compiling,
        checkpointing, FSDP and DDP put into them. Tied tensors are filled once, by the first of
        their names. DTensors are filled without communication; their scales come from the whole
        shapes.
    plan : Plan or str, optional
        As for `fastxavier.init_`. Every parameter needs a rule; a buffer without one keeps its
        values. If no plan is given, each tensor gets what the ``reset_parameters`` of its module
        draws, as `plan_for` finds it, and the padding row of an embedding is 0.
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None
        As for `fastxavier.init_`. All processes of a distributed model need the same.
    device : torch.device or str, default "cpu"
        Where tensors that are on meta get their memory.
    materialize : bool, default True
        Whether tensors on meta are given memory. If not, they are refused.
    alias : mapping of str to str, optional
        For tensors that are meant to be equal but have memory of their own, as of the stages of a
        pipeline or after ``parallelize_module``: for a name the one whose rule and values it gets,
        such as ``{"head.weight": "emb.weight"}``. The module's own
        ``all_tied_weights_keys``, which transformers' models have, is read too.
    threads : int, optional
        As for `fill_`. torchrun sets ``OMP_NUM_THREADS`` to 1, which this overrides.
    progress : bool or callable, optional
        As for `fastxavier.init_`.

    Returns
    -------
    Report
        Of the tensors that were filled, as in `fastxavier.init_`; of a DTensor its local part.

    Raises
    ------
    PlanError
        If the plan has no rule for a parameter.
    TypeError, ValueError
        If nothing is known of a module's class and no plan is given; if a buffer on meta would be
        left without values; if it is not known where a shard lies; or as `fastxavier.init_` does.
        Errors name the tensor, and no value has been written then.

    Notes
    -----
    Parameters on meta are replaced by new ones, unless they are DTensors, as ``to_empty`` does:
    make the optimizer afterwards. Ties, dtypes, ``requires_grad``, hooks, attributes and subclasses
    of Parameter are kept.

    Examples
    --------
    >>> import torch, fastxavier.torch
    >>> with torch.device("meta"):
    ...     model = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.Linear(256, 10))
    >>> report = fastxavier.torch.init_(model, seed=7)
    >>> model[0].weight.device, len(report.tensors)
    (device(type='cpu'), 4)
    """
    inner = unwrapped(module)
    truth("materialize", materialize)
    entries = walk(inner, alias)
    _check_kinds(entries)
    defaults = defaults_of(inner)
    chosen = plan_of_model(
        plan_of(entries, defaults) if plan is None else plan, [entry.stream for entry in entries]
    )
    filled, computed = _sorted(entries, chosen, defaults)
    blocks = _blocks_of_all(inner, filled, is_shared(seed))
    if any(is_meta(entry.tensor) for entry in entries):
        _check_meta(entries, filled, computed, materialize)
        give_memory(inner, entries, device)
        blocks = _blocks_of_all(inner, filled, is_shared(seed))
    prepared = _prepared(filled, blocks, chosen.plan)
    number = model_seed_now(seed)  # all groups of tensors are filled with the same
    reports = [one.init_(seed=number, threads=threads, progress=progress) for one in prepared]
    for entry in filled:
        if is_dtensor(entry.tensor):
            torch.autograd.graph.increment_version(entry.tensor)
        padded = default_of(entry, defaults)
        if plan is None and isinstance(padded, Padded):
            _zero_row(blocks[id(entry)], padded.row, len(entry.tensor))
    for entry, values in computed:
        with torch.no_grad():
            entry.tensor.copy_(values)
    return _joined(reports, filled, chosen.plan, number)


def _check_kinds(entries: list[Named]) -> None:
    """Refuse tensors that have no shape yet, and flat ones that hold several parameters."""
    for entry in entries:
        flat = next((what for sign, what in _FLAT.items() if hasattr(entry.tensor, sign)), None)
        if flat is not None:
            raise ArgumentValueError(
                f"tensor {entry.name!r}: module has it flattened by {flat}, whose layout is not "
                "known here; initialize the module before it is wrapped",
                "module",
                entry.tensor,
            )
        if isinstance(entry.tensor, torch.nn.parameter.UninitializedTensorMixin):
            raise ArgumentValueError(
                f"tensor {entry.name!r}: module has a lazy tensor, which has no shape yet; run the "
                "module once on a batch first",
                "module",
                entry.tensor,
            )


# An attribute of a parameter that holds, or has given up, more or less than its own values.
_FLAT = {"_unpadded_unsharded_size": "FSDP1", "_fqns": "FSDP1", "ds_id": "DeepSpeed"}


def _sorted(
    entries: list[Named], chosen: Any, defaults: Mapping[str, Any]
) -> tuple[list[Named], list[tuple[Named, Any]]]:
    """The tensors that a rule is for, and the buffers with computed values."""
    filled: list[Named] = []
    computed: list[tuple[Named, Any]] = []
    for entry in entries:
        shape = tuple(entry.tensor.shape)
        values = default_of(entry, defaults)
        if not entry.is_buffer or chosen.plan.rule_for(entry.stream, len(shape)) is not None:
            chosen.distribution(entry.stream, shape)  # which refuses what it has no rule for
            filled.append(entry)
        elif isinstance(values, torch.Tensor):
            computed.append((entry, values))
    return filled, computed


def _check_meta(
    entries: list[Named],
    filled: list[Named],
    computed: list[tuple[Named, Any]],
    allowed: bool,
) -> None:
    """Refuse what cannot be made of a module on meta, before any memory is taken."""
    known = {id(entry) for entry in filled} | {id(entry) for entry, _ in computed}
    for entry in entries:
        if not is_meta(entry.tensor):
            continue
        if not allowed:
            raise ArgumentValueError(
                f"tensor {entry.name!r}: module has it on meta, and materialize is False; move it "
                "with to_empty first",
                "module",
                entry.tensor,
            )
        if id(entry) not in known:
            owner = type(entry.sites[0].owner).__name__
            raise ArgumentValueError(
                f"tensor {entry.name!r}: module has this buffer on meta, and nothing says what is "
                "in it: it would be left with what happens to be in memory. Make it where it has "
                "values, give the plan a rule for it, or say how it is computed with "
                f"fastxavier.torch.register({owner})",
                "module",
                entry.tensor,
            )
        name = str(entry.tensor.dtype).removeprefix("torch.")
        if entry.tensor.is_floating_point() and name not in FLOATS:
            raise ArgumentTypeError(
                f"tensor {entry.name!r}: module has it in {entry.tensor.dtype}; it must be one of "
                f"{', '.join(FLOATS)}",
                "module",
                entry.tensor.dtype,
                FLOATS,
            )


def _blocks_of_all(module: Any, filled: list[Named], shared: bool) -> dict[int, list[Block]]:
    """Where the values of each tensor go; of a DTensor to several blocks, perhaps, or none."""
    by_fsdp = made_by_fsdp(module)
    found = {}
    for entry in filled:
        try:
            found[id(entry)] = blocks_of(entry.tensor, id(entry.tensor) in by_fsdp)
        except ArgumentValueError as error:
            raise of_tensor(entry.name, error) from None
        if is_dtensor(entry.tensor) and not shared:
            raise ArgumentValueError(
                f"tensor {entry.name!r}: seed is None or not set, and each process would draw its "
                "own; give all processes the same seed, such as seed=7",
                "seed",
            )
    return found


def _prepared(filled: list[Named], blocks: Mapping[int, list[Block]], plan: Plan) -> list[Prepared]:
    """The tensors ready to be filled: all in one group but those that share a name with another."""
    groups: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for entry in filled:
        number = 0
        shape = tuple(entry.tensor.shape)
        pieces = blocks[id(entry)]
        if not pieces and not is_dtensor(entry.tensor):
            pieces = [Block(entry.tensor, (0,) * len(shape))]
        for block in pieces:
            while number < len(groups) and entry.stream in groups[number][0]:
                number += 1
            if number == len(groups):
                groups.append(({}, {}))
            arrays, places = groups[number]
            arrays[entry.stream] = block.tensor
            if tuple(block.tensor.shape) != shape:
                places[entry.stream] = shape, block.offset
    return [Prepared(arrays, plan, places, for_one_fill=True) for arrays, places in groups]


def _zero_row(blocks: list[Block], row: int, rows: int) -> None:
    """Set the row of the padding to 0, if it is here."""
    row %= rows
    with torch.no_grad():
        for tensor, offset in blocks:
            if offset[0] <= row < offset[0] + len(tensor):
                tensor[row - offset[0]].zero_()


def _joined(reports: list[Report], filled: list[Named], plan: Plan, seed: int) -> Report:
    """One report of all groups."""
    shapes = {entry.stream: tuple(entry.tensor.shape) for entry in filled}
    unused = partial(unused_of_user, plan, shapes)
    if not reports:
        return Report(seed, 0.0, 0, (), unused)
    return replace(
        reports[0],
        seconds=sum(report.seconds for report in reports),
        nbytes=sum(report.nbytes for report in reports),
        _tensors=tuple(one for report in reports for one in report._tensors),
        _unused=unused,
    )


# ---- tensor by tensor ----------------------------------------------------------------------------


def fill_(
    tensor: Any,
    distribution: Initializer | str,
    seed: Seed = None,
    stream: Stream = None,
    *,
    threads: SupportsIndex | None = None,
    fsdp: bool | None = None,
) -> Any:
    """Fill a tensor, a Parameter or this process's part of a DTensor, as `fastxavier.fill_` does.

    Parameters
    ----------
    tensor : torch.Tensor
        With memory. Of a DTensor the local part gets what a fill of the whole puts there, without
        communication.
    distribution : Distribution, VarianceScaling, StructuredInitializer or str
        As for `fastxavier.fill_`; fans come from the whole shape.
    seed : int, numpy.random.Generator, RandomState, SeedSequence, Streams or None
        As for `fastxavier.fill_`. A DTensor needs one that all processes have.
    stream : int or str, optional
        Which tensor; see `fastxavier.fill_`.
    threads : int, optional
        At most this many.
    fsdp : bool, optional
        Whether fully_shard has made the DTensor: asked for where placements alone do not say where
        it lies, which can be if two axes of the mesh cut one of the tensor and do not divide it.

    Returns
    -------
    torch.Tensor
        The tensor.

    Raises
    ------
    TypeError, ValueError
        As `fastxavier.fill_` does; or if the DTensor is a partial sum, this process is not in its
        mesh, or it is not known where it lies. Nothing has been written then.

    Examples
    --------
    >>> import torch, fastxavier as fx, fastxavier.torch
    >>> w = torch.nn.Parameter(torch.empty(4, 3))
    >>> fastxavier.torch.fill_(w, fx.Normal(0, 0.02), 7, "head.weight") is w
    True
    """
    if not is_dtensor(tensor):
        return _fill.fill_(tensor, distribution, seed=seed, stream=stream, threads=threads)
    shape = tuple(tensor.shape)
    resolved = resolve(distribution, shape)
    _fill.check_part(shape, seed, resolved)
    number = seed_number(seed)
    for block in blocks_of(tensor, fsdp):
        _fill.fill_(
            block.tensor,
            resolved,
            seed=number,
            stream=stream,
            global_shape=shape,
            offset=block.offset,
            threads=threads,
        )
    torch.autograd.graph.increment_version(tensor)
    return tensor


class ParamInit(dict[str, Callable[[Any], Any]]):
    """By name of a tensor the function that initializes it. `param_init` makes it."""

    def __init__(self, plan: Plan | str, seed: Any, module: Any, prefix: str, threads: Any) -> None:
        super().__init__()
        self._plan, self._seed, self._module = plan, seed, module
        self._prefix, self._threads = prefix, threads
        self._names: dict[int, Named] = {}

    def __missing__(self, name: str) -> Callable[[Any], Any]:
        if not isinstance(name, str):
            raise KeyError(name)
        self[name] = partial(self._initialize, name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def at(self, prefix: str) -> ParamInit:
        """The same for the module at this path, such as "layers.0.attention", with local names."""
        path = f"{self._prefix}{prefix}."
        return ParamInit(self._plan, self._seed, self._module, path, self._threads)

    def _initialize(self, name: str, tensor: Any) -> Any:
        names = [f"{self._prefix}{name}"]
        if self._module is not None:
            names = self._found(name, tensor)
        plan = plan_of_model(self._plan, names)
        shape = tuple(tensor.shape)
        distribution = plan.distribution(names[0], shape)
        by_fsdp = None
        if self._module is not None and is_dtensor(tensor):
            by_fsdp = id(tensor) in made_by_fsdp(self._module)
        try:
            return fill_(
                tensor, distribution, self._seed, names[0], threads=self._threads, fsdp=by_fsdp
            )
        except (ArgumentTypeError, ArgumentValueError) as error:
            raise of_tensor(names[0], error) from None

    def _found(self, name: str, tensor: Any) -> list[str]:
        """The qualified name of a tensor of the module, and then all others of the module."""
        if id(tensor) not in self._names or self._names[id(tensor)].tensor is not tensor:
            self._names = {id(entry.tensor): entry for entry in walk(self._module)}
        if id(tensor) not in self._names:
            raise ArgumentValueError(
                f"tensor {name!r}: the tensor is not one of the module that was given to "
                f"param_init, {shown(type(self._module).__name__)}",
                "tensor",
                tensor,
            )
        own = self._names[id(tensor)].stream
        return [own, *(one.stream for one in self._names.values() if one.stream != own)]


def param_init(
    plan: Plan | str,
    seed: Seed,
    *,
    module: Any = None,
    prefix: str = "",
    threads: SupportsIndex | None = None,
) -> ParamInit:
    """A dictionary from names to functions that initialize a tensor, as torchtitan's modules take.

    ``param_init(plan, seed)[name](tensor)`` fills the tensor by the rule and from the stream of its
    name. A module that asks with local names, such as "weight", needs to be told where it is: by
    ``at("layers.0.attention")``, or by `module`, in which the tensor is then looked for.

    Parameters
    ----------
    plan : Plan or str
        As for `init_`.
    seed : int or other
        As for `fill_`.
    module : torch.nn.Module, optional
        The whole model: the qualified name of a tensor is the one that it has there.
    prefix : str, optional
        What stands before local names, with its dot.
    threads : int, optional
        As for `fill_`.

    Returns
    -------
    ParamInit
        It has a function for every name, and `at`, the same for a module's path.

    Examples
    --------
    >>> import torch, fastxavier as fx, fastxavier.torch
    >>> plan = fx.Plan([fx.Rule("*.weight", "normal", std=0.02), fx.Rule("*.bias", "zeros")])
    >>> layer = torch.nn.Linear(3, 4)
    >>> inits = fastxavier.torch.param_init(plan, 7).at("layers.0.out")
    >>> for name, parameter in layer.named_parameters():
    ...     _ = inits[name](parameter)
    >>> bool((layer.bias == 0).all())
    True
    """
    return ParamInit(plan, seed, module, prefix, threads)
