"""Pillow, SciPy, scikit-image and OpenCV of 2016-2019: the names that they have no more."""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import answered, moved

MODULES = ("PIL", "cv2", "scipy", "skimage")
_MISC = "slim_resnet.legacy.replacements.scipy_misc"
_METRICS = "slim_resnet.legacy.replacements.skimage_metrics"

SUCCESSORS = {
    **{
        f"PIL.Image.{old}": f"PIL.Image.{new}"
        for old, new in {
            "ANTIALIAS": "LANCZOS",
            "CUBIC": "BICUBIC",
            "LINEAR": "BILINEAR",
        }.items()
    },
    **moved(
        "scipy.misc",
        "bytescale fromimage imread imresize imrotate imsave toimage",
        _MISC,
    ),
    **moved("scipy.misc.pilutil", "bytescale fromimage imread imresize imsave toimage", _MISC),
    **moved("scipy.misc", "comb factorial factorial2 factorialk logsumexp", "scipy.special"),
    **moved("scipy.misc", "ascent electrocardiogram face", "scipy.datasets"),
    **moved("skimage.measure", "compare_mse compare_nrmse compare_psnr compare_ssim", _METRICS),
    **{
        f"cv2.{old}": f"cv2.{new}"
        for old, new in {
            "CV_AA": "LINE_AA",
            "CV_LOAD_IMAGE_COLOR": "IMREAD_COLOR",
            "CV_LOAD_IMAGE_GRAYSCALE": "IMREAD_GRAYSCALE",
            "CV_LOAD_IMAGE_UNCHANGED": "IMREAD_UNCHANGED",
        }.items()
    },
}

REMEDIES = {
    "scipy.misc.imshow": "show the image with matplotlib.pyplot.imshow",
    "scipy.misc.derivative": "use numpy.gradient, or the numdifftools package",
    **answered("cv2", "cv", "OpenCV 3 dropped it: the same names are in cv2, without CV_"),
    "skimage.filters.threshold_adaptive": "use skimage.filters.threshold_local and compare",
}
