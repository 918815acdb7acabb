"""Packaging of slim-resnet; the base install needs no framework."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (HERE / "slim_resnet" / "__init__.py").read_text(encoding="utf-8")
).group(1)

# tensorflow and tf_keras of one minor, or slim's batch norm breaks; torch exact, as other requests
# bring gigabytes of CUDA libraries.
TF = ["tensorflow==2.21.*", "tf_keras==2.21.*", "tf-slim==1.1.0", "keras>=3.15"]
TORCH = ["torch==2.13.0"]
# What training tools need besides TensorFlow: scikit-learn's digits, learning curves, peak memory.
TRAIN = ["scikit-learn>=1.4", "matplotlib>=3.8", "psutil>=5.9"]
# Reads and rewrites TensorFlow 1 scripts, comments kept.
SCRIPTS = ["libcst>=1.4"]
# The NumPy that such scripts were written for computes and converts otherwise than NumPy 2. JAX,
# which TensorFlow and Keras import where they find it, needs NumPy 2, as does ml_dtypes 0.6.
LEGACY = [*TF, *SCRIPTS, "numpy>=1.26.4,<2", "ml_dtypes<0.6"]
ONNX = ["onnx==1.23.*", "onnxscript==0.7.*"]
# torchvision and timm are the peers that converted networks are compared with; torchvision 0.28 is
# torch 2.13's.
TEST = [
    "pytest>=8",
    "pytest-xdist>=3",
    "ruff>=0.6",
    "torchvision==0.28.0",
    "timm==1.0.31",
    "onnxruntime>=1.20",
    "hypothesis>=6.100",
    "jax>=0.5",
]

setup(
    name="slim-resnet",
    version=VERSION,
    description="TF1-slim ResNet and ResNeXt on today's TensorFlow, and their checkpoints in "
    "PyTorch and Keras 3, with proof that the outputs match",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["slim_resnet*", "converters*"]),
    license_files=["LICENSE"],
    entry_points={"console_scripts": ["slim-resnet = converters.cli.commands:main"]},
    package_data={
        "slim_resnet": ["py.typed"],
        "converters": ["py.typed"],
        "slim_resnet.legacy.tables": ["*.txt"],
        "converters.recognise": ["scheme_files/*.toml"],
    },
    install_requires=[
        "numpy>=1.26",
        "h5py>=3.10",
        "rich>=13",
        "safetensors>=0.4",
        "tomli>=2; python_version<'3.11'",
    ],
    extras_require={
        "tf": TF,
        "torch": TORCH,
        "onnx": [*TORCH, *ONNX],
        "train": [*TF, *TRAIN],
        "legacy": LEGACY,
        "test": TEST,
        "all": [*TF, *TORCH, *ONNX, *TRAIN, *SCRIPTS, *TEST],
    },
)
