"""Scalers: fit to the training inputs, then applied to all inputs alike."""

import numpy as np


class StandardScaler:
    """Shift and scale each feature to mean 0 and standard deviation 1: y = (x - mean) / scale.

    mean and scale are those of the inputs given to `fit` (the deviation over N, not N - 1), in float64; a constant
    feature has scale 1.

    Shape:
        x (N, D), float32 or float64, and y the same.
    """

    mean: np.ndarray | None = None
    scale: np.ndarray | None = None

    def fit(self, inputs: np.ndarray) -> "StandardScaler":
        """Take the mean and deviation of each feature.

        Raises:
            TypeError: the inputs are no floats.
            ValueError: they are not (N, D) with N at least 1, or not finite.
        """
        inputs = _checked("StandardScaler.fit", inputs, None)
        self.mean = inputs.mean(0)
        self.scale = np.where(np.ptp(inputs, axis=0) == 0, 1.0, np.sqrt(np.square(inputs - self.mean).mean(0)))
        return self

    def transform(self, inputs: np.ndarray) -> np.ndarray:
        """(x - mean) / scale, in the dtype of x.

        Raises:
            TypeError: the inputs are no floats.
            ValueError: the scaler was not fitted, or to another number of features.
        """
        values = _checked("StandardScaler.transform", inputs, self.mean)
        return ((values - self.mean) / self.scale).astype(inputs.dtype)

    def inverse_transform(self, outputs: np.ndarray) -> np.ndarray:
        """y * scale + mean, in the dtype of y.

        Raises:
            TypeError: the outputs are no floats.
            ValueError: the scaler was not fitted, or to another number of features.
        """
        values = _checked("StandardScaler.inverse_transform", outputs, self.mean)
        return (values * self.scale + self.mean).astype(outputs.dtype)


class MinMaxScaler:
    """Map each feature linearly to [0, 1]: y = (x - low) / scale, where scale = high - low.

    low and high are the extremes of the inputs given to `fit`, in float64; a constant feature has scale 1 and is 0.

    Shape:
        x (N, D), float32 or float64, and y the same.
    """

    low: np.ndarray | None = None
    scale: np.ndarray | None = None

    def fit(self, inputs: np.ndarray) -> "MinMaxScaler":
        """Take the extremes of each feature.

        Raises:
            TypeError: the inputs are no floats.
            ValueError: they are not (N, D) with N at least 1, or not finite.
        """
        inputs = _checked("MinMaxScaler.fit", inputs, None)
        spread = np.ptp(inputs, axis=0)
        self.low, self.scale = inputs.min(0), np.where(spread == 0, 1.0, spread)
        return self

    def transform(self, inputs: np.ndarray) -> np.ndarray:
        """(x - low) / scale, in the dtype of x.

        Raises:
            TypeError: the inputs are no floats.
            ValueError: the scaler was not fitted, or to another number of features.
        """
        values = _checked("MinMaxScaler.transform", inputs, self.low)
        return ((values - self.low) / self.scale).astype(inputs.dtype)

    def inverse_transform(self, outputs: np.ndarray) -> np.ndarray:
        """y * scale + low, in the dtype of y.

        Raises:
            TypeError: the outputs are no floats.
            ValueError: the scaler was not fitted, or to another number of features.
        """
        values = _checked("MinMaxScaler.inverse_transform", outputs, self.low)
        return (values * self.scale + self.low).astype(outputs.dtype)


def _checked(name: str, inputs: np.ndarray, fitted: np.ndarray | None) -> np.ndarray:
    """The inputs in float64, fit to be scaled (`fitted`: a statistic of the fit) or to be fitted to (None)."""
    if not isinstance(inputs, np.ndarray) or inputs.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name}: expected an array of float32 or float64, got {getattr(inputs, 'dtype', type(inputs).__name__)}"
        )
    if not name.endswith(".fit") and fitted is None:
        raise ValueError(f"{name}: the scaler has seen no data; call fit(training_inputs) first")
    if inputs.ndim != 2 or (fitted is not None and inputs.shape[1] != len(fitted)):
        features = "features" if fitted is None else f"{len(fitted)} features, as in fit"
        raise ValueError(
            f"{name}: expected a matrix (N, D) of examples and {features}, got shape {inputs.shape}; "
            "inputs.reshape(len(inputs), -1) makes a matrix of images"
        )
    if fitted is None and len(inputs) == 0:
        raise ValueError(f"{name}: expected at least one example, got shape {inputs.shape}")
    if fitted is None and not np.isfinite(inputs).all():
        raise ValueError(
            f"{name}: expected finite inputs, got {int((~np.isfinite(inputs)).sum())} NaN or infinite ones"
        )
    return inputs.astype(np.float64)
