"""Sums of columns, for the gradient of images of few channels."""

from .launch import Out, kernel


@kernel
def sum_columns(columns, across, dx: Out, low, high):
    """dx[i, ix, c] = sum over kx of columns[i, ox, (kx, c)], where across[ix, kx] = ox, or -1 for none."""
    channels, zero = dx.shape[2], dx.dtype.type(0)
    for i in range(low, high):
        for ix in range(len(across)):
            places, out = across[ix], dx[i, ix]
            for c in range(channels):
                total = zero
                for kx in range(len(places)):
                    if places[kx] >= 0:
                        total += columns[i, places[kx], kx * channels + c]
                out[c] = total
