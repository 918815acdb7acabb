"""A scheme: the names and the geometry of the networks of one code base."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from converters.files import CheckpointError, WeightsFile
from converters.recognise.reading import SMALL_KERNEL
from converters.recognise.rules import Rules
from slim_resnet.arch.architecture import Arch


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
        small_root: facts of its networks for small images, whose root is 3x3; None: it has none.
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
    small_root: Mapping[str, object] | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict)
    variant: str | None = None
    preprocessing: str = ""

    @property
    def title(self) -> str:
        """What it is called: its name, and its variant's."""
        called = self.name or self.rules.path
        return f"{called}:{self.variant}" if self.variant else called

    def facts(self, arch: Arch) -> dict[str, object]:
        """What the variables of a network do not tell of it, as far as it is decided."""
        chosen = self.variants[self.variant].network if self.variant else {}
        small = (self.small_root or {}) if _has_small_root(arch) else {}
        return {**self.rules.network, **chosen, **small}

    def fits(self, file: WeightsFile) -> bool:
        """Whether a file has the names of its networks."""
        return bool(self.signature) and all(
            any(map(pattern.fullmatch, file)) for pattern in self.signature
        )

    def check_bare(self, file: WeightsFile, arch: Arch | None, told: Mapping[str, object]) -> None:
        """Checks that it tells the whole network without a graph.

        Args:
            file: the weights.
            arch: the network, where one was found.
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
        if self.name and arch and _has_small_root(arch) and self.small_root is None:
            raise CheckpointError(
                f"{file.path}: names as {self.about}: its root is {arch.root_kernel}x"
                f"{arch.root_kernel}, and what such networks of that code compute is not known "
                "here: give its graph (.meta, beside the checkpoint), or say it with --rules"
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


def _has_small_root(arch: Arch) -> bool:
    return arch.root_block and arch.root_kernel <= SMALL_KERNEL
