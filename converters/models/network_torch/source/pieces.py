"""Pieces of the source that are the same in every network."""

from __future__ import annotations

from collections import OrderedDict

from converters.models.network_torch.ops import pad_same
from slim_resnet.frameworks import require

torch = require("torch")
nn = torch.nn


class SameConv2d(nn.Conv2d):
    """A convolution whose padding is TensorFlow's SAME, which depends on the size of its input."""

    def forward(self, x):
        return super().forward(pad_same(x, self.kernel_size, self.stride, self.dilation))


class Scope(nn.Module):
    """Modules that are called one by one from outside."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def chain(**modules):
    """Modules that are called one after another, by name."""
    return nn.Sequential(OrderedDict(modules))


def tail() -> str:
    """What loads the weights and checks the outputs."""
    return _TAIL


_TAIL = '''HERE = pathlib.Path(__file__).resolve().parent


def load(path=HERE / "weights.safetensors"):
    """The network with its weights, in eval mode."""
    net = Network()
    state = read_tensors(path)
    for name, buffer in net.named_buffers():
        if name.endswith("num_batches_tracked"):
            state[name] = buffer
    net.load_state_dict(state)
    return net.eval()


def read_tensors(path):
    """Name -> tensor, from a .safetensors file: a header in JSON, then the values."""
    data = bytearray(pathlib.Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    types = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16}
    types |= {"I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
    found = {}
    for name, about in header.items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            values = torch.frombuffer(data, dtype=torch.uint8, offset=start)[begin:end]
            found[name] = values.view(types[about["dtype"]]).reshape(about["shape"])
    return found


@torch.no_grad()
def check():
    """Compares the outputs with those that the conversion wrote beside this file."""
    stored = read_tensors(HERE / "check.safetensors")
    fed = {n.removeprefix("in:"): x for n, x in stored.items() if n.startswith("in:")}
    found = load()(fed if len(fed) > 1 else next(iter(fed.values())))
    wanted = {n.removeprefix("out:"): y for n, y in stored.items() if n.startswith("out:")}
    found = found if isinstance(found, dict) else dict.fromkeys(wanted, found)
    for name, value in wanted.items():
        difference = (found[name].double() - value.double()).abs().max().item()
        largest = value.double().abs().max().item()
        print(f"{name}: differs by at most {difference:.1e}; its largest value is {largest:.3g}")


if __name__ == "__main__":
    check()'''
