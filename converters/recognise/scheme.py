"""A scheme: the names and the geometry of the networks of one code base."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from converters.files import CheckpointError, WeightsFile
from converters.recognise.rules import Rules


@dataclass(frozen=True)
class Variant:
    """One of the networks that a scheme's weights may belong to, as they do not tell which.

    Attributes:
        about: the code that builds it.
        network: its facts, as `slim_resnet.arch.facts` takes them.
    """

    about: str
    network: Mapping[str, object]


@dataclass(frozen=True)
class Scheme:
    """What a file of rules says; shipped ones have a name.

    Attributes:
        name: of a shipped one; "" for a user's own rules.
        rules: slim's names, and what the variables do not tell of the network.
        about: the code base.
        example: a name of a variable.
        signature: expressions that each fit a variable of its files; () recognises nothing.
        refused: what its networks may have that no architecture does -> the variables of that.
        variants: by their names.
        variant: the one that was chosen.
        preprocessing: what its networks take.
    """

    name: str
    rules: Rules
    about: str = ""
    example: str = ""
    signature: Sequence[re.Pattern[str]] = ()
    refused: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    variant: str | None = None
    preprocessing: str = ""

    @property
    def title(self) -> str:
        """What it is called: its name, and its variant's."""
        called = self.name or self.rules.path
        return f"{called}:{self.variant}" if self.variant else called

    @property
    def network(self) -> dict[str, object]:
        """What the variables do not tell, as far as it is decided."""
        chosen = self.variants[self.variant].network if self.variant else {}
        return {**self.rules.network, **chosen}

    def fits(self, file: WeightsFile) -> bool:
        """Whether a file has the names of its networks."""
        return bool(self.signature) and all(
            any(map(pattern.fullmatch, file)) for pattern in self.signature
        )

    def check_bare(self, file: WeightsFile, told: Mapping[str, object]) -> None:
        """Checks that it tells the whole network without a graph.

        Args:
            file: the weights.
            told: the facts that the user says.

        Raises:
            CheckpointError: the network has what no architecture has, or the file does not tell
                which of the variants it is; the message names them.
        """
        for what, pattern in self.refused.items():
            found = next(filter(pattern.fullmatch, file), None)
            if found is not None:
                raise CheckpointError(
                    f"{file.path}: names as {self.about}: {found} belongs to {what}, which no "
                    "architecture here has: give its graph (.meta, beside the checkpoint), which "
                    "is converted whole"
                )
        open_facts = {fact for each in self.variants.values() for fact in each.network} - set(told)
        if open_facts and not self.variant:
            listed = "; ".join(
                f"--scheme {self.title}:{name} ({each.about})"
                for name, each in self.variants.items()
            )
            raise CheckpointError(
                f"{file.path}: names as {self.about}: its weights do not tell "
                f"{', '.join(sorted(open_facts))}: say which code they are of: {listed}"
            )
