"""Sizes that are not known before a network runs, as sums that can be compared.

A `Size` is a constant plus multiples of atoms: the height of the input, a third of it rounded down,
... Two sizes are equal where their sums are, so it shows that what a graph computes from `tf.shape`
is what the layer's padding gives anyway, or that the batch goes through a reshape untouched.
"""

from __future__ import annotations

from collections.abc import Hashable

Dim = "int | Size"
_LARGEST = 2**63


class Size:
    """An integer that depends on what is fed: constant + sum of coefficient * atom.

    Args:
        terms: (atom, coefficient) by ascending atom; at least one.
        constant: what is added.
        atoms: the table in which the atoms have their numbers.

    Raises:
        OverflowError: a number is beyond what TensorFlow's integers hold.
    """

    __slots__ = ("atoms", "constant", "terms")

    def __init__(self, terms: tuple[tuple[int, int], ...], constant: int, atoms: Atoms) -> None:
        if max(abs(constant), *(abs(factor) for _, factor in terms)) >= _LARGEST:
            raise OverflowError("a size is beyond 64 bits")
        self.terms = terms
        self.constant = constant
        self.atoms = atoms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        terms = "".join(f"{factor:+}*n{atom}" for atom, factor in self.terms)
        return f"<Size {terms}{self.constant:+}>"

    def __add__(self, other: Size | int) -> Size | int:
        terms = dict(self.terms)
        constant = self.constant
        if isinstance(other, Size):
            for atom, factor in other.terms:
                terms[atom] = terms.get(atom, 0) + factor
            constant += other.constant
        else:
            constant += _integer(other)
        kept = tuple(sorted((atom, factor) for atom, factor in terms.items() if factor))
        return Size(kept, constant, self.atoms) if kept else constant

    def __mul__(self, other: Size | int) -> Size | int:
        if isinstance(other, Size):
            return self.atoms.size(("product", *sorted((self, other), key=_order)))
        factor = _integer(other)
        if not factor:
            return 0
        terms = tuple((atom, each * factor) for atom, each in self.terms)
        return Size(terms, self.constant * factor, self.atoms)

    def __neg__(self) -> Size | int:
        return self * -1

    def __sub__(self, other: Size | int) -> Size | int:
        return self + -other

    def __rsub__(self, other: int) -> Size | int:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Size | int) -> Size | int:
        if isinstance(other, Size) or _integer(other) < 1:
            return self.atoms.size(("quotient", self, other))
        if all(factor % other == 0 for _, factor in self.terms):
            terms = tuple((atom, factor // other) for atom, factor in self.terms)
            return Size(terms, self.constant // other, self.atoms)
        return self.atoms.size(("quotient", self, int(other)))

    def __mod__(self, other: int) -> Size | int:
        return self - self // other * _integer(other)

    @property
    def _key(self) -> tuple:
        return self.terms, self.constant


class Atoms:
    """The unknown sizes of one network, numbered."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def size(self, what: Hashable) -> Size:
        """The size that `what` stands for; the same one for what is equal."""
        number = self._numbers.setdefault(what, len(self._numbers))
        return Size(((number, 1),), 0, self)


def known(dim: Dim) -> int | None:
    """An integer, or None where the size is not known."""
    return None if isinstance(dim, Size) else int(dim)


def _order(size: Size) -> tuple:
    return size.terms, size.constant


def _integer(value: object) -> int:
    """`value` if it is a whole number: sizes are not computed with fractions."""
    if isinstance(value, bool) or int(value) != value:
        raise TypeError(f"a size cannot be computed with {value!r}")
    return int(value)
