"""Keras 1's way of calling Keras 2's layers, for scripts that `import keras`.

The Keras 2 of 2017-2019 still took it; tf_keras does not, and would read `Convolution2D(64, 3, 3)`
as a kernel of 3 with strides of 3. Each class here is tf_keras's, with the arguments translated.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
from tf_keras.api._v1 import keras

_WEIGHTS = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}
_PLACES = {"border_mode": "padding", "dim_ordering": "data_format"}
_VALUES = {"tf": "channels_last", "th": "channels_first"}


def _translated(base: type, names: dict[str, str], first: Callable | None = None) -> type:
    """`base`, taking the keywords of `names`; `first` sees all arguments before."""

    def __init__(self, *args, **kwargs):
        if first is not None:
            args, kwargs = first(args, kwargs)
        kwargs = {names.get(name, name): value for name, value in kwargs.items()}
        if "data_format" in kwargs:
            kwargs["data_format"] = _VALUES.get(kwargs["data_format"], kwargs["data_format"])
        base.__init__(self, *args, **kwargs)

    return type(base.__name__, (base,), {"__init__": __init__, "__module__": base.__module__})


def _kernel(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """(filters, rows, columns) -> (filters, (rows, columns))"""
    if len(args) >= 3 and isinstance(args[1], int) and isinstance(args[2], int):
        args = (args[0], args[1:3], *args[3:])
    if "nb_row" in kwargs:
        kwargs["kernel_size"] = (kwargs.pop("nb_row"), kwargs.pop("nb_col"))
    return args, kwargs


def _only_mode_0(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    if kwargs.pop("mode", 0) != 0:
        raise ValueError("BatchNormalization: of Keras 1's modes only 0 is left")
    return args, kwargs


Conv2D = Convolution2D = _translated(
    keras.layers.Conv2D,
    {"nb_filter": "filters", "subsample": "strides"} | _WEIGHTS | _PLACES,
    _kernel,
)
AtrousConvolution2D = _translated(
    keras.layers.Conv2D,
    {"nb_filter": "filters", "subsample": "strides", "atrous_rate": "dilation_rate"}
    | _WEIGHTS
    | _PLACES,
    _kernel,
)
Dense = _translated(keras.layers.Dense, {"output_dim": "units"} | _WEIGHTS)
Dropout = _translated(keras.layers.Dropout, {"p": "rate"})
AveragePooling2D = _translated(keras.layers.AveragePooling2D, _PLACES)
MaxPooling2D = _translated(keras.layers.MaxPooling2D, _PLACES)
BatchNormalization = _translated(
    keras.layers.BatchNormalization,
    {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    _only_mode_0,
)


def _epochs(kwargs: dict) -> dict:
    if "samples_per_epoch" in kwargs:
        raise TypeError(
            "fit_generator: Keras 1's samples_per_epoch counted samples; "
            "pass steps_per_epoch, the number of batches"
        )
    return {"epochs" if name == "nb_epoch" else name: value for name, value in kwargs.items()}


def _ends(kwargs: dict) -> dict:
    names = {"input": "inputs", "output": "outputs"}
    return {names.get(name, name): value for name, value in kwargs.items()}


def _with_old_words(model: keras.Model) -> keras.Model:
    """The model, whose `fit` and `fit_generator` take nb_epoch."""
    for name in ("fit", "fit_generator"):
        train = getattr(model, name)
        setattr(model, name, lambda *args, train=train, **kwargs: train(*args, **_epochs(kwargs)))
    return model


class _OldWords(type):
    """Makes tf_keras's own models, so that they are saved and loaded as such."""

    def __call__(cls, *args, **kwargs):
        if cls in (Model, Sequential):
            return _with_old_words(cls.__base__(*args, **_ends(kwargs)))
        return super().__call__(*args, **kwargs)

    def __instancecheck__(cls, instance) -> bool:
        if cls in (Model, Sequential):
            return isinstance(instance, cls.__base__)
        return super().__instancecheck__(instance)


class Model(keras.models.Model, metaclass=_OldWords):
    """tf_keras's Model, taking input, output and nb_epoch."""


class Sequential(keras.models.Sequential, metaclass=_OldWords):
    """tf_keras's Sequential, taking nb_epoch."""


def image_dim_ordering() -> str:
    """Where the channels are: "tf" at the end, "th" at the front."""
    return {value: name for name, value in _VALUES.items()}[keras.backend.image_data_format()]


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Puts the channels of layers made from now on at the end ("tf") or the front ("th")."""
    if dim_ordering not in _VALUES:
        raise ValueError(f"dim_ordering is one of {', '.join(_VALUES)}, not {dim_ordering!r}")
    keras.backend.set_image_data_format(_VALUES[dim_ordering])


def convert_all_kernels_in_model(model: keras.Model) -> None:
    """Turns every kernel by 180 degrees: Theano convolves where TensorFlow correlates."""
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)):
            kernel = keras.backend.get_value(layer.kernel)
            turned = np.flip(kernel, axis=tuple(range(kernel.ndim - 2)))
            keras.backend.set_value(layer.kernel, turned)


_MERGE = {
    "sum": keras.layers.add,
    "mul": keras.layers.multiply,
    "ave": keras.layers.average,
    "max": keras.layers.maximum,
}


class _Merge(ModuleType):
    """Keras 1's function `merge`, and Keras 2's module of that name."""

    def __call__(self, inputs, mode="sum", concat_axis: int = -1, name: str | None = None):
        if mode == "concat":
            return keras.layers.concatenate(inputs, axis=concat_axis, name=name)
        if mode not in _MERGE:
            raise ValueError(f"merge: mode is one of {', '.join(_MERGE)}, concat, not {mode!r}")
        return _MERGE[mode](inputs, name=name)

    def __getattr__(self, name: str):
        return getattr(keras.layers, name)


merge = _Merge("keras.layers.merge")
