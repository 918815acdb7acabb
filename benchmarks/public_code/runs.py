"""Which public code is run, and how."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

_HERE = pathlib.Path(__file__).resolve().parent
_PROBES = str(_HERE / "probes.py")


class Run(NamedTuple):
    """A few commands of one code base.

    Attributes:
        name: of its results.
        source: repository and file, for the table.
        folder: the checkout.
        what: what is run, for the table.
        commands: a script and its arguments each; see `public_scripts.execute`.
        paths: what is on PYTHONPATH, below the checkout.
        cwd: where it runs, below the checkout.
        is_test: whether its commands are unittests, whose counts are compared.
        pattern: a regular expression of one number, wherever it is printed; "": a line of JSON is.
    """

    name: str
    source: str
    folder: str
    what: str
    commands: tuple[tuple[str, ...], ...]
    paths: tuple[str, ...] = (".",)
    cwd: str = "."
    is_test: bool = False
    pattern: str = ""


def _probe(name: str, source: str, folder: str, what: str, paths: tuple = (".",)) -> Run:
    return Run(name, source, folder, what, ((_PROBES, name),), paths)


def _tests(name: str, source: str, folder: str, files: str, paths: tuple = (".",)) -> Run:
    commands = tuple((file,) for file in files.split())
    return Run(name, source, folder, files, commands, paths, is_test=True)


_MODELS = "tensorflow/models"
_SLIM_2018 = "models2018/research/slim"
_SLIM_2020 = "models2020/research/slim"
_RESEARCH = (".", "slim")
_SLIM_TESTS = """
    alexnet cyclegan dcgan overfeat pix2pix vgg resnet_v1 resnet_v2 mobilenet_v1 inception_v1
    inception_v2 inception_v3 inception_v4 inception_resnet_v2 nets_factory
"""
_SLIM_2020_TESTS = (
    *(("", net) for net in (*_SLIM_TESTS.split(), "i3d", "s3dg")),
    ("mobilenet/", "mobilenet_v2"), ("mobilenet/", "mobilenet_v3"), ("nasnet/", "nasnet_utils"),
    ("nasnet/", "nasnet"), ("nasnet/", "pnasnet"),
)  # fmt: skip
_TRAIN = (
    "train_image_classifier.py", "--dataset_name=mnist", "--dataset_dir={tf1}",
    "--model_name=lenet", "--batch_size=8", "--max_number_of_steps=10", "--clone_on_cpu=True",
    "--train_dir={out}/train", "--log_every_n_steps=1",
)  # fmt: skip
_EVAL = (
    "eval_image_classifier.py", "--dataset_name=mnist", "--dataset_dir={tf1}",
    "--model_name=lenet", "--batch_size=10", "--max_num_batches=4", "--eval_dir={out}/eval",
    "--checkpoint_path={tf1}/train/model.ckpt-10",
)  # fmt: skip
_DATA = (str(_HERE / "mnist_records.py"), "{tf1}")

CODE = (
    _probe("east", "argman/EAST `model.py`", "EAST", "score and geometry maps, loss"),
    _probe("ssd", "balancap/SSD-Tensorflow `nets/ssd_vgg_300.py`", "SSD-Tensorflow",
           "predictions and boxes of three layers, NHWC"),
    _probe("faster_rcnn", "endernewton/tf-faster-rcnn `lib/nets`", "tf-faster-rcnn",
           "resnet_v1_50, test graph with proposals in the graph; its compiled NMS is not built",
           ("lib",)),
    _probe("facenet", "davidsandberg/facenet `src/models`", "facenet",
           "inception_resnet_v1, embeddings", ("src",)),
    _probe("pose", "eldar/pose-tensorflow `nnet/pose_net.py`", "pose-tensorflow",
           "part and location heads"),
    _probe("simclr", "google-research/simclr `resnet.py`", "simclr", "ResNet-18 with SE"),
    _probe("yolo_v3", "mystic123/tensorflow-yolo-v3 `yolo_v3.py`", "tensorflow-yolo-v3",
           "detections, NHWC"),
    _probe("cyclegan", "xhujoy/CycleGAN-tensorflow `module.py`", "CycleGAN-tensorflow",
           "generator and discriminator"),
    _probe("official_resnet", f"{_MODELS} (2018) `official/resnet`", "models2018",
           "ImagenetModel 18, logits"),
    _probe("deeplab", f"{_MODELS} (2018) `research/deeplab`", "models2018/research",
           "mobilenet_v2, logits", _RESEARCH),
    _probe("tensorpack", "tensorpack/tensorpack `examples/ResNet`", "tensorpack",
           "resnet_backbone of bottlenecks, logits", (".", "examples/ResNet")),
    _probe("cbam", "kobiso/CBAM-tensorflow-slim `nets`", "CBAM-tensorflow-slim",
           "resnet_v1_50 with cbam_block, logits"),
    Run("slim_train", f"{_MODELS} (2018) `research/slim`", _SLIM_2018,
        "train_image_classifier.py, 10 steps of lenet; eval_image_classifier.py of the "
        "checkpoint that TensorFlow 1.15 trained",
        (_DATA, _TRAIN, _EVAL), pattern=r"eval/(?:Accuracy|Recall_5)\[([\d.e+-]+)\]"),
    Run("slim_export", f"{_MODELS} (2018) `research/slim`", _SLIM_2018,
        "export_inference_graph.py, inception_v3",
        (("export_inference_graph.py", "--model_name=inception_v3", "--dataset_name=mnist",
          "--dataset_dir={out}", "--output_file={out}/a.pb"),)),
    *(_tests(f"slim_{net}", f"{_MODELS} (2018) `research/slim`", _SLIM_2018,
             f"nets/{net}_test.py") for net in _SLIM_TESTS.split()),
    _tests("slim_deploy", f"{_MODELS} (2018) `research/slim`", _SLIM_2018,
           "deployment/model_deploy_test.py"),
    _tests("slim_mobilenet_v2", f"{_MODELS} (2018) `research/slim`", _SLIM_2018,
           "nets/mobilenet/mobilenet_v2_test.py"),
    _tests("slim_nasnet", f"{_MODELS} (2018) `research/slim`", _SLIM_2018,
           "nets/nasnet/nasnet_utils_test.py nets/nasnet/nasnet_test.py "
           "nets/nasnet/pnasnet_test.py"),
    *(_tests(f"slim_2020_{net}", f"{_MODELS} (2020) `research/slim`", _SLIM_2020,
             f"nets/{folder}{net}_test.py") for folder, net in _SLIM_2020_TESTS),
    _tests("deeplab_2018", f"{_MODELS} (2018) `research/deeplab`", "models2018/research",
           "deeplab/common_test.py deeplab/core/preprocess_utils_test.py "
           "deeplab/core/resnet_v1_beta_test.py", _RESEARCH),
    _tests("deeplab_2018_models", f"{_MODELS} (2018) `research/deeplab`", "models2018/research",
           "deeplab/core/xception_test.py deeplab/model_test.py", _RESEARCH),
    _tests("deeplab_2020", f"{_MODELS} (2020) `research/deeplab`", "models2020/research",
           "deeplab/common_test.py deeplab/core/conv2d_ws_test.py deeplab/core/utils_test.py "
           "deeplab/core/dense_prediction_cell_test.py", _RESEARCH),
)  # fmt: skip

# What `--check` is asked about: the code that `CODE` runs, in folders of the checkouts.
CHECKED = (
    "EAST", "SSD-Tensorflow", "tf-faster-rcnn", "facenet", "pose-tensorflow", "simclr",
    "tensorflow-yolo-v3", "CycleGAN-tensorflow", "models2018/official/resnet",
    "models2018/research/slim", "models2018/research/deeplab", "models2020/research/slim",
    "models2020/research/deeplab", "tensorpack/tensorpack", "tensorpack/examples/ResNet",
    "CBAM-tensorflow-slim",
)  # fmt: skip
