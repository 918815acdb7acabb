"""`skimage.measure.compare_*`, which are in `skimage.metrics` under other names since 0.18."""

from __future__ import annotations

from skimage import metrics

compare_mse = metrics.mean_squared_error


def compare_psnr(im_true, im_test, data_range=None):
    """`skimage.metrics.peak_signal_noise_ratio` with the parameters of its time."""
    return metrics.peak_signal_noise_ratio(im_true, im_test, data_range=data_range)


def compare_nrmse(im_true, im_test, norm_type="Euclidean"):
    """`skimage.metrics.normalized_root_mse` with the parameters of its time."""
    norm = {"mean": "mean", "min-max": "min-max"}.get(norm_type.lower(), "euclidean")
    return metrics.normalized_root_mse(im_true, im_test, normalization=norm)


def compare_ssim(
    X, Y, win_size=None, gradient=False, data_range=None, multichannel=False, **kwargs
):  # noqa: N803
    """`skimage.metrics.structural_similarity`, told of channels as in its time."""
    return metrics.structural_similarity(
        X,
        Y,
        win_size=win_size,
        gradient=gradient,
        data_range=data_range,
        channel_axis=-1 if multichannel else None,
        **kwargs,
    )
