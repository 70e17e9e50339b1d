"""Tensor: an array with a gradient. Its operators are ops, attached in `minidl/ops/__init__.py`."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import mutation
from .checks import check_dtype
from .kernels import recording
from .kernels.layout import aligned, dense

if TYPE_CHECKING:
    from .autograd import Node

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Tensor:
    """An n-dimensional array that ops record, with the gradient of a loss with respect to it in `grad`.

    `data` and `grad` are ndarrays. Make one with `minidl.tensor`, which copies and checks.
    """

    __slots__ = (  # fixed, so that a typo in an attribute is an error
        "__weakref__",
        "_array",
        "_base",
        "_changed",
        "_exposed",
        "_fingerprint",
        "_requires_grad",
        "_used",
        "grad",
        "node",
    )
    __array_ufunc__ = None  # so that ndarray + Tensor is Tensor's to answer
    __hash__ = object.__hash__

    if TYPE_CHECKING:  # attached by minidl.ops, and backward by minidl.autograd
        backward: Callable[..., None]
        __add__: Callable[[Any], "Tensor"]
        __radd__: Callable[[Any], "Tensor"]
        __sub__: Callable[[Any], "Tensor"]
        __rsub__: Callable[[Any], "Tensor"]
        __mul__: Callable[[Any], "Tensor"]
        __rmul__: Callable[[Any], "Tensor"]
        __truediv__: Callable[[Any], "Tensor"]
        __rtruediv__: Callable[[Any], "Tensor"]
        __pow__: Callable[[Any], "Tensor"]
        __rpow__: Callable[[Any], "Tensor"]
        __matmul__: Callable[[Any], "Tensor"]
        __rmatmul__: Callable[[Any], "Tensor"]
        __neg__: Callable[[], "Tensor"]
        __abs__: Callable[[], "Tensor"]
        __lt__: Callable[[Any], "Tensor"]
        __le__: Callable[[Any], "Tensor"]
        __gt__: Callable[[Any], "Tensor"]
        __ge__: Callable[[Any], "Tensor"]
        __getitem__: Callable[[Any], "Tensor"]
        __setitem__: Callable[[Any, Any], None]
        to: Callable[[Any], "Tensor"]
        sum: Callable[..., "Tensor"]
        mean: Callable[..., "Tensor"]
        max: Callable[..., "Tensor"]
        min: Callable[..., "Tensor"]
        var: Callable[..., "Tensor"]
        std: Callable[..., "Tensor"]
        argmax: Callable[..., "Tensor"]
        argmin: Callable[..., "Tensor"]
        exp: Callable[[], "Tensor"]
        log: Callable[[], "Tensor"]
        sqrt: Callable[[], "Tensor"]
        abs: Callable[[], "Tensor"]
        relu: Callable[[], "Tensor"]
        tanh: Callable[[], "Tensor"]
        sigmoid: Callable[[], "Tensor"]
        reshape: Callable[..., "Tensor"]
        flatten: Callable[..., "Tensor"]
        transpose: Callable[[int, int], "Tensor"]
        permute: Callable[..., "Tensor"]
        squeeze: Callable[..., "Tensor"]
        unsqueeze: Callable[[int], "Tensor"]
        expand: Callable[..., "Tensor"]

    def __init__(self, array: np.ndarray):
        self._array = array
        self.grad: np.ndarray | None = None
        self.node: Node | None = None  # the op that made it; None for a leaf
        self._requires_grad = False
        self._base: Tensor | None = None  # the tensor whose memory this one shows
        self._changed = 0  # see mutation.py
        self._exposed = self._used = False
        self._fingerprint: int | None = None

    @property
    def data(self) -> np.ndarray:
        """The array itself, not a copy. Changing it between an op and backward is detected and refused."""
        note_reading("data")
        if not self._exposed:
            mutation.expose(self)
        return self._array

    @data.setter
    def data(self, value: Any) -> None:
        if value is self._array:  # x.data -= ... changes the array, then assigns it
            mutation.note_change(self)
            return
        array = dense(np.asarray(value))
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"Tensor.data: expected an array of shape {self.shape} and dtype {self.dtype}, got shape {array.shape} "
                f"and dtype {array.dtype}"
            )
        self._array, self._base, self._exposed, self._fingerprint = array, None, True, None
        mutation.note_structure()

    @property
    def requires_grad(self) -> bool:
        """Whether backward computes a gradient for this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._array.dtype not in FLOATS:
            raise TypeError(f"requires_grad: expected a tensor of dtype float32 or float64, got {self._array.dtype}")
        if not value and self.node is not None:
            raise ValueError("requires_grad: only a leaf's can be turned off; use detach()")
        if value is not self._requires_grad:
            self._requires_grad = bool(value)
            mutation.note_structure()

    @property
    def shape(self) -> tuple[int, ...]:
        """The extent of each dimension."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._array.size

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this tensor."""
        return self.node is None

    @property
    def T(self) -> "Tensor":
        """The transpose of a matrix.

        Raises:
            ValueError: the tensor is not 2-D.
        """
        if self.ndim != 2:
            raise ValueError(f"T: expected a matrix, got shape {self.shape}; use transpose(dim0, dim1) or permute(...)")
        return self.transpose(0, 1)

    def share(self, candidates: list["Tensor | None"]) -> None:
        """Note which of the candidates this tensor shows the memory of, if any."""
        mine = self._array if self._array.base is None else self._array.base
        for tensor in candidates:
            if tensor is not None and (mine is tensor._array or mine is tensor._array.base):
                self._base = mutation.root_of(tensor)
                self._exposed = self._base._exposed
                return

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is not a leaf in its `grad`."""
        if self.node is not None:
            self.node.retain = self

    def detach(self) -> "Tensor":
        """A tensor over the same memory that records nothing."""
        out = Tensor(self._array)
        out._base, out._exposed = mutation.root_of(self), self._exposed
        return out

    def item(self) -> float | int | bool:
        """The value of a tensor of one element, as a Python number.

        Raises:
            ValueError: it has more elements, or none.
        """
        if self.size != 1:
            raise ValueError(f"item: expected one element, got shape {self.shape}")
        note_reading("item(), float() or a comparison")
        return self._array.item()

    def numpy(self) -> np.ndarray:
        """`data`: the array itself, not a copy."""
        return self.data

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        note_reading("tolist()")
        return self._array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy) if copy is not None else np.asarray(self.data, dtype=dtype)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a tensor without dimensions")
        return len(self._array)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        note_reading("an index")
        return self._array.__index__()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __repr__(self) -> str:
        note_reading("printing")
        values = np.array2string(self._array, separator=", ", prefix="tensor(", threshold=200)
        kind = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        grad = ", requires_grad=True" if self.requires_grad and self.node is None else ""
        made = f", made_by={self.node.name}" if self.node is not None else ""
        return f"tensor({values}{kind}{grad}{made})"


def note_reading(how: str) -> None:
    """Note, while a step is recorded, that it has a tensor's values in Python, where no replay could follow."""
    active = recording.active
    if active is not None:
        active.refuse(
            f"the step reads a tensor's values in Python ({how}), as a replay, which runs none, would not; return the "
            "tensor and read it after the step"
        )


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A leaf tensor that holds a copy of `data` (numbers, nested lists, an ndarray, a tensor).

    Python floats become float32; arrays keep their dtype.

    Raises:
        TypeError: the data or the dtype are not numbers, or `requires_grad` is asked of whole numbers.
        ValueError: the lists differ in length.
    """
    if isinstance(data, Tensor):
        data = data._array
    try:
        array = np.asarray(data)
    except ValueError as error:  # lists within a list that differ in length
        raise ValueError(f"tensor: expected numbers in lists of equal lengths, got {data!r:.80}: {error}") from None
    if dtype is None:
        dtype = (
            np.float32 if array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic) else array.dtype
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"tensor: expected numbers, got {type(data).__name__} of dtype {array.dtype}")
    out = Tensor(aligned(dense(array.astype(check_dtype("tensor", dtype)))))
    out.requires_grad = requires_grad
    return out
