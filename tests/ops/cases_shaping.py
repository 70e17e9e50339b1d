"""Cases for reductions, shapes, indexing and products."""

import numpy as np

from minidl import ops
from tests.ops.case import Case

CASES = []


def loops(function):
    """A reduction written as Python loops over the kept places."""

    def reference(x, *, dim=None, keepdim=False, **options):
        axes = tuple(range(x.ndim)) if dim is None else tuple(d % x.ndim for d in np.atleast_1d(dim))
        kept = [d for d in range(x.ndim) if d not in axes]
        out = np.empty([x.shape[d] for d in kept])
        for place in np.ndindex(out.shape):
            at = [slice(None)] * x.ndim
            for d, i in zip(kept, place, strict=True):
                at[d] = i
            out[place] = function(x[tuple(at)].ravel().tolist(), **options)
        return out.reshape([1 if d in axes else x.shape[d] for d in range(x.ndim)]) if keepdim else out

    return reference


def mean(values):
    return sum(values) / len(values)


def variance(values, correction=1):
    m = mean(values)
    return sum((v - m) ** 2 for v in values) / (len(values) - correction)


WAYS = [
    ((7,), {}),
    ((), {}),
    ((5, 3), {"dim": 0}),
    ((5, 3), {"dim": -1, "keepdim": True}),
    ((2, 3, 5, 7), {"dim": (0, 2, 3)}),
    ((2, 3, 5, 7), {"dim": (2, 3), "keepdim": True}),
    ((2, 3, 5, 7), {}),
    ((1, 1), {"dim": 0}),
]
for shape, options in WAYS:
    CASES += [
        Case("sum", (shape,), loops(sum), options),
        Case("mean", (shape,), loops(mean), options),
        Case("max", (shape,), loops(max), options),
        Case("min", (shape,), loops(min), options),
    ]
    if np.prod(shape) > 1:
        CASES += [
            Case("var", (shape,), loops(variance), options),
            Case("var", (shape,), loops(variance), options | {"correction": 0}),
            Case("var", (shape,), lambda x, **o: np.sqrt(loops(variance)(x, **o)), options, call=ops.std),
        ]
CASES += [Case("sum", ((0, 3),), loops(sum), {"dim": 0}), Case("mean", ((0, 3),), loops(mean), {"dim": 1})]
for name, pick in {"argmax": max, "argmin": min}.items():

    def place(x, dim=None, pick=pick):
        if dim is None:
            return np.array(x.ravel().tolist().index(pick(x.ravel().tolist())))
        rows = np.moveaxis(x, dim, -1)
        out = np.empty(rows.shape[:-1], np.int64)
        for i in np.ndindex(out.shape):
            out[i] = rows[i].tolist().index(pick(rows[i].tolist()))
        return out

    CASES += [Case(name, (s,), place, o, smooth=False) for s, o in [((7,), {}), ((5, 3, 2), {"dim": 1}), ((4, 3), {})]]

CASES += [
    Case("reshape", ((6, 5),), lambda x, shape: np.array(x.ravel().tolist()).reshape(shape), {"shape": (5, 6)}),
    Case("reshape", ((2, 3, 5, 7),), lambda x, shape: np.array(x.ravel().tolist()).reshape(2, 105), {"shape": (2, -1)}),
    Case("reshape", ((2, 105),), lambda x, shape: np.array(x.ravel().tolist()).reshape(shape), {"shape": (2, 3, 5, 7)}),
    Case("reshape", ((0, 3),), lambda x, shape: np.empty(shape), {"shape": (3, 0)}),
    Case("reshape", ((),), lambda x, shape: np.array([float(x)]), {"shape": (1,)}),
    Case(
        "reshape",
        ((2, 3, 5, 7),),
        lambda x, start_dim: np.array(x.tolist()).reshape(2, 105),
        {"start_dim": 1},
        call=ops.flatten,
    ),
    Case("reshape", ((1, 3, 1),), lambda x: np.array(x.ravel().tolist()), call=ops.squeeze),
    Case("reshape", ((3, 5),), lambda x, dim: x[:, None, :], {"dim": 1}, call=ops.unsqueeze),
    Case("permute", ((2, 3, 5, 7),), lambda x, dims: np.einsum("abcd->dacb", x), {"dims": (3, 0, 2, 1)}),
    Case(
        "permute",
        ((4, 3),),
        lambda x, dims: np.array([[x[i, j] for i in range(4)] for j in range(3)]),
        {"dims": (1, 0)},
    ),
    Case(
        "permute",
        ((2, 3, 5),),
        lambda x, dim0, dim1: np.einsum("abc->cba", x),
        {"dim0": 0, "dim1": -1},
        call=ops.transpose,
    ),
    Case("expand", ((3, 1),), lambda x, shape: x * np.ones((2, 3, 5)), {"shape": (2, 3, 5)}),
    Case("expand", ((2, 3, 1, 1),), lambda x, shape: x * np.ones((2, 3, 5, 7)), {"shape": (-1, -1, 5, 7)}),
]

PLACES = np.array([3, 0, 3, 3, 1])
CASES += [
    Case("index", ((5, 3),), lambda x, at: np.array([x[2, j] for j in range(3)]), {"at": 2}),
    Case("index", ((5, 3),), lambda x, at: np.array([x[i] for i in (1, 3)]), {"at": slice(1, None, 2)}),
    Case("index", ((5, 3),), lambda x, at: np.array([x[i, 1] for i in range(5)]), {"at": (..., 1)}),
    Case("index", ((5, 3),), lambda x, at: np.array([x[i] for i in PLACES]), {"at": PLACES}),
    Case("index", ((5, 3),), lambda x, at: np.array([x[i, 2] for i in PLACES]), {"at": (PLACES, 2)}),
    Case(
        "index",
        ((5, 3),),
        lambda x, at: np.array([v for r in (0, 2) for v in x[r]]).reshape(2, 3),
        {"at": np.array([True, False, True, False, False])},
    ),
    Case(
        "index",
        ((2, 3, 5, 7),),
        lambda x, at: np.array([x[i, :, 1:4] for i in range(2)])[:, None],
        {"at": (slice(None), None, slice(None), slice(1, 4))},
    ),
    Case("index", ((5,),), lambda x, at: np.empty(0), {"at": slice(0, 0)}),
]


def joined(*arrays, dim):
    out = np.empty(
        [
            sum(a.shape[d] for a in arrays) if d == dim % a.ndim else a.shape[d]
            for a in arrays[:1]
            for d in range(a.ndim)
        ]
    )
    start = 0
    for a in arrays:
        at = [slice(None)] * a.ndim
        at[dim] = slice(start, start + a.shape[dim])
        out[tuple(at)] = a
        start += a.shape[dim]
    return out


def gather(function):
    return lambda *tensors, dim: function(list(tensors), dim=dim)


for shapes, dim in [
    (((2, 3), (5, 3), (0, 3)), 0),
    (((2, 3), (2, 1)), -1),
    (((2, 3, 5, 7), (2, 1, 5, 7)), 1),
    (((4,),), 0),
]:
    CASES.append(Case("concatenate", shapes, joined, {"dim": dim}, call=gather(ops.concatenate)))
CASES += [
    Case(
        "concatenate",
        ((3, 5), (3, 5)),
        lambda *a, dim: np.array([[a[0][i], a[1][i]] for i in range(3)]),
        {"dim": 1},
        call=gather(ops.stack),
    ),
    Case(
        "concatenate",
        ((2,), (2,), (2,)),
        lambda *a, dim: np.array([list(v) for v in a]),
        {"dim": 0},
        call=gather(ops.stack),
    ),
]


def product(x, y):
    left, right = (x[None] if x.ndim == 1 else x), (y[:, None] if y.ndim == 1 else y)
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, batch + left.shape[-2:])
    right = np.broadcast_to(right, batch + right.shape[-2:])
    out = np.zeros((*batch, left.shape[-2], right.shape[-1]))
    for place in np.ndindex(out.shape):
        *b, i, j = place
        out[place] = sum(left[(*b, i, k)] * right[(*b, k, j)] for k in range(left.shape[-1]))
    return out.reshape(
        [
            e
            for d, e in enumerate(out.shape)
            if not (x.ndim == 1 and d == out.ndim - 2) and not (y.ndim == 1 and d == out.ndim - 1)
        ]
    )


for shapes in [
    ((3, 5), (5, 7)),
    ((5,), (5,)),
    ((5,), (5, 3)),
    ((3, 5), (5,)),
    ((2, 1, 3, 5), (4, 5, 2)),
    ((2, 3, 5), (5,)),
    ((4,), (2, 4, 3)),
    ((0, 5), (5, 7)),
    ((3, 0), (0, 2)),
    ((1, 1), (1, 1)),
    ((2, 3, 5, 7), (2, 3, 7, 2)),
]:
    CASES.append(Case("matmul", shapes, product))
CASES.append(Case("matmul", ((257, 2), (2, 259)), product))  # large enough for the right operand to be copied


def affine(x, weight, bias=None):
    out = np.zeros((*x.shape[:-1], len(weight)))
    for place in np.ndindex(out.shape):
        *rest, j = place
        out[place] = sum(x[(*rest, k)] * weight[j, k] for k in range(weight.shape[1])) + (
            0 if bias is None else bias[j]
        )
    return out


for shapes in [
    ((4, 5), (7, 5), (7,)),
    ((5,), (3, 5), (3,)),
    ((2, 3, 5), (7, 5), None),
    ((1, 1), (1, 1), (1,)),
    ((530, 3), (2, 3), (2,)),
    ((2, 3, 5, 2), (3, 2), (3,)),
    ((0, 5), (3, 5), (3,)),
    ((2, 30), (41, 30), (41,)),  # few rows beside the weight, which is then on the left
    ((2100, 2), (3, 2), (3,)),  # a sum over rows that is split
]:
    CASES.append(Case("linear", shapes, affine))
