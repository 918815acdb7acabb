"""The facts that make an `Arch`, as plain data; what follows from them is `architecture`'s."""

from __future__ import annotations

from dataclasses import dataclass

from slim_resnet.arch.parts import (
    BATCH_NORM_DECAY,
    BATCH_NORM_EPSILON,
    LEAKY_SLOPE,
    UNIT_KINDS,
    Activation,
    RootBlock,
    Stage,
    UnitKind,
    make_activation,
)


@dataclass(frozen=True)
class Fields:
    """The facts of a residual network; each is independent, and has slim's default.

    Args:
        name: its name in the registry, or a description when it has none.
        family: a name in `slim_resnet.arch.families`, e.g. "resnet_v1".
        unit: the kind of residual unit, a key of `UNIT_KINDS`; it is the unit's scope, too.
        stages: the blocks, from the root on.
        cardinality: groups of each unit's 3x3 convolution (1: a plain ResNet).
        num_classes: outputs of the logits layer; None: the network ends in its features.
        input_channels: channels of the images (without a root block: of the first block's input).
        root_block: whether it begins with the root convolution, and its max pool.
        root_depth, root_kernel, root_stride: output channels, height and width of the kernel, and
            stride of the root convolution.
        deep_stem: output channels of convolutions of the same kernel before the root's own, of
            which the first has the stride (DeepLab's _beta nets, the root of ResNet-D); ().
        root_padding: of the root convolution, one of `parts.PADDINGS`.
        root_pool: the max pool after it, one of `parts.ROOT_POOLS`.
        stride_unit: where a block's stride sits: in its "last" unit (slim) or its "first".
        stride_conv: the convolution of that unit that carries it; None: its kind's own, conv2 (3x3)
            of bottlenecks, conv1 of basic units. Bottlenecks of Caffe's ResNet and of the first
            ones in Keras have it in conv1 (1x1).
        conv_padding: of strided 3x3 convolutions in units, "symmetric" or "same".
        output_stride: input to output resolution, kept by atrous convolution; None: nominal.
        shortcut: where a unit changes the depth: "projection" (1x1 convolution, option B of
            arXiv:1512.03385), "pad" (zero channels, option A) or "average_pad" (2x2 average
            pooling and zero channels). "block_projection": a projection in the first unit of every
            block, also where the depth stays (TensorFlow's official ResNet-18 and -34).
            "average_projection": a strided projection is 2x2 average pooling and a projection of
            stride 1 (ResNet-D, arXiv:1812.01187).
        form: which of the equivalent forms of a ResNeXt unit the graph and its variables have.
        activation: of the convolutions, one of `parts.ACTIVATIONS` (`resnet_arg_scope`'s).
        unit_activation: after the sum; in pre-activation nets, of the pre-activation.
        activation_slope: below zero, of leaky_relu.
        use_bounded_activations: the model garden's, for quantised inference: the residual clipped
            to -6 ... 6, and ReLU6 after the projection and after the sum.
        use_batch_norm: whether convolutions have a batch norm; else they have biases.
        batch_norm_scale, batch_norm_center: whether batch norms have a gamma, a beta.
        batch_norm_epsilon: 1e-5 in slim's resnet_arg_scope.
        batch_norm_decay: of the moving averages in training, 0.997 in slim's resnet_arg_scope.
        conv_bias: which convolutions have biases before a batch norm: "none", "root", "units" or
            "all".
        plain_bias: whether a pre-activation net's convolutions without a batch norm (its root, the
            projections, the last ones of units) have biases.
        global_pool: whether features are averaged over all positions; else the network ends in a
            map (dense prediction).
        logits_layer: "conv" (1x1) or "dense" (a fully connected layer, weights of rank 2).
        logits_bias: whether the logits layer has biases.
    """

    name: str
    family: str
    unit: str
    stages: tuple[Stage, ...]
    cardinality: int = 1
    num_classes: int | None = 1000
    input_channels: int = 3
    root_block: bool = True
    root_depth: int = 64
    root_kernel: int = 7
    root_stride: int = 2
    deep_stem: tuple[int, ...] = ()
    root_padding: str = "symmetric"
    root_pool: str = "same"
    stride_unit: str = "last"
    stride_conv: str | None = None
    conv_padding: str = "symmetric"
    output_stride: int | None = None
    shortcut: str = "projection"
    form: str = "grouped"
    activation: str = "relu"
    unit_activation: str = "relu"
    activation_slope: float = LEAKY_SLOPE
    use_bounded_activations: bool = False
    use_batch_norm: bool = True
    batch_norm_scale: bool = True
    batch_norm_center: bool = True
    batch_norm_epsilon: float = BATCH_NORM_EPSILON
    batch_norm_decay: float = BATCH_NORM_DECAY
    conv_bias: str = "none"
    plain_bias: bool = True
    global_pool: bool = True
    logits_layer: str = "conv"
    logits_bias: bool = True

    @property
    def kind(self) -> UnitKind:
        return UNIT_KINDS[self.unit]

    @property
    def has_se(self) -> bool:
        """Whether any unit has squeeze-and-excitation."""
        return any(stage.se_depth for stage in self.stages)

    @property
    def conv_activation(self) -> Activation | None:
        """Of the convolutions."""
        return make_activation(self.activation, self.activation_slope)

    @property
    def root_options(self) -> RootBlock:
        """The root block's facts, for the functions that build it."""
        return RootBlock(
            self.root_depth,
            self.root_kernel,
            self.root_stride,
            self.root_padding,
            self.root_pool,
            self._root_bias,
            self.deep_stem,
        )

    @property
    def _root_bias(self) -> bool | None:
        if self.kind.preact:
            return None if self.plain_bias else False
        return self.conv_bias in ("root", "all") if self.use_batch_norm else None

    @property
    def has_root_pool(self) -> bool:
        return self.root_block and self.root_pool != "none"

    @property
    def root_total_stride(self) -> int:
        """The stride of the root block, its max pool included."""
        return self.root_options.total_stride if self.root_block else 1
