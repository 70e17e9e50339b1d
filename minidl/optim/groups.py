"""Parameter groups: what an optimizer holds, and those for weight decay."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels import recording
from ..mutation import Watched, note_structure

if TYPE_CHECKING:
    from ..nn import Module
    from .optimizer import Optimizer


class ParamGroup(Watched):
    """A dict of `params`, a tuple, and of options.

    The options stand as numbers in `settings` too, where kernels read them: one array for good, so that a captured step
    follows what is assigned here. `form` says which numbers are 0, as that may decide which kernels run; it is None
    while an option is out of range, which the next step says.
    """

    def __init__(self, kind: "type[Optimizer]", options: dict[str, Any]):
        super().__init__(options)
        self._kind, self._params = kind, None
        self.settings = np.array(kind.numbers(options), np.float64)
        self.form: tuple[bool, ...] | None = None
        self._changed()

    def _changed(self) -> None:
        active = recording.active
        if active is not None:
            active.refuse(
                "the step sets an option of an optimizer, as a schedule does, which a replay would not; do it after "
                "the step, as replays follow"
            )
        params, form = self.get("params"), None
        if isinstance(params, list):  # one that was appended to would not be noticed
            params = tuple(params)
            dict.__setitem__(self, "params", params)
        try:
            self._kind.check_options(self)
            self.settings[:] = numbers = self._kind.numbers(self)
            form = tuple(map(bool, numbers))
        except (KeyError, TypeError, ValueError):
            pass
        if form is None or form != self.form or params is not self._params:
            note_structure()
        self.form, self._params = form, params

    def __reduce__(self) -> tuple:
        return ParamGroup, (self._kind, dict(self))


def no_decay_groups(model: "Module", weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: weights with `weight_decay`; biases and normalization layers' parameters without.

    Without decay are all parameters of fewer than two dimensions, those named `bias`, and those of modules whose class
    says `no_decay = True`, as BatchNorm1d, BatchNorm2d and LayerNorm do, and layers of your own may.

    >>> optimizer = SGD(no_decay_groups(model, 5e-4), lr=0.1, momentum=0.9)

    Raises:
        TypeError: `model` is not a module.

    Source: He et al., "Bag of tricks for image classification" (2019), section 3.1.
    """
    if not hasattr(model, "named_modules"):
        raise TypeError(f"no_decay_groups: expected a Module, got {type(model).__name__}; pass the model itself")
    spared = {id(p) for module in model.modules() if module.no_decay for p in module.parameters()}
    groups: tuple[list, list] = ([], [])
    for name, parameter in model.named_parameters():
        groups[id(parameter) in spared or parameter.ndim < 2 or name.split(".")[-1] == "bias"].append(parameter)
    return [{"params": groups[0], "weight_decay": weight_decay}, {"params": groups[1], "weight_decay": 0.0}]
