"""Several layers that are one: each pattern is a function that tries to match at a layer.

A pattern changes the last of the layers into the one that they are. It takes in only what nothing
else reads, so every value that is read or asked for stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converters.graphs.building import Builder
from converters.graphs.drafts import Draft, Value, ancestors
from converters.graphs.patterns import activations, batch_norms, convolutions, windows
from converters.graphs.patterns.matching import Context, readers_of

# In this order; those of a row are tried at each layer, from the inputs to the outputs.
_PASSES: tuple[tuple[Callable[[Draft, Context], bool], ...], ...] = (
    (windows.dilation,),
    (batch_norms.batch_norm, activations.relu),
    (convolutions.bias,),
    (convolutions.groups,),
    (convolutions.bias,),
    (activations.clip, activations.leaky),
    (activations.hard,),
    (activations.gated,),
    (windows.padding,),
)


def simplify(
    builder: Builder, outputs: Sequence[Value], decay: Callable[[str], float | None]
) -> None:
    """Makes the layers that outputs need into as few as there are kinds for.

    Args:
        builder: made them.
        outputs: the values asked for.
        decay: variable -> how fast the moving average goes that it is.
    """
    for patterns in _PASSES:
        context = Context(builder, readers_of(outputs), decay)
        for draft in ancestors(outputs):
            if not draft.static:
                any(pattern(draft, context) for pattern in patterns)
