"""Parameter groups for weight decay."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nn import Module


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
