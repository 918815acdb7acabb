"""Changes to a source text that leave every other byte as it is."""

from __future__ import annotations

from collections.abc import Sequence

from slim_resnet.legacy.rewriting.script import Script
from slim_resnet.legacy.rewriting.syntax import cst


class Editor:
    """Collects changes to one script; `code` is the text with all of them made."""

    def __init__(self, script: Script):
        self._script = script
        self._text = script.module.code.encode("utf-8")
        self._newline = script.module.default_newline
        self._edits: list[tuple[int, int, str]] = []

    @property
    def code(self) -> bytes:
        """The new source, in the encoding of the old one."""
        parts, at = [], 0
        for start, end, text in sorted(self._edits, key=lambda edit: edit[:2]):
            parts += [self._text[at:start], text.encode("utf-8")]
            at = end
        return (
            b"".join([*parts, self._text[at:]]).decode("utf-8").encode(self._script.module.encoding)
        )

    def text(self, node: cst.CSTNode) -> str:
        start, end = self._script.span(node)
        return self._text[start:end].decode("utf-8")

    def replace(self, node: cst.CSTNode, text: str) -> None:
        self._edits.append((*self._script.span(node), text))

    def add_argument(self, call: cst.Call, text: str) -> None:
        """Adds a last argument to a call that has some."""
        _, end = self._script.span(call.args[-1].value)
        self._edits.append((end, end, f", {text}"))

    def insert_before(self, statement: cst.CSTNode, lines: Sequence[str]) -> None:
        """Puts lines above a statement, as far in as it is."""
        start = self._line_start(statement)
        indent = self._indent(statement)
        text = "".join(f"{indent}{line}{self._newline}" for line in lines)
        self._edits.append((start, start, text))

    def insert_after(self, statement: cst.CSTNode, lines: Sequence[str]) -> None:
        """Puts lines below a statement, or behind it where it shares its line; "" is empty."""
        line = self._script.parent(statement)
        if isinstance(line, cst.SimpleStatementLine) and statement is line.body[-1]:
            end = self._line_end(statement)
            indent = self._indent(statement)
            text = "".join(f"{self._newline}{line and indent}{line}" for line in lines)
        else:
            _, end = self._script.span(statement)
            text = "".join(f"; {line}" for line in lines if line)
        self._edits.append((end, end, text))

    def replace_statement(self, statement: cst.CSTNode, lines: Sequence[str]) -> None:
        """Has `lines` in a statement's place; none: the statement goes, its comment stays."""
        if lines:
            self.replace(statement, lines[0])
            self.insert_after(statement, lines[1:])
        elif self._is_needed(statement):
            self.replace(statement, "pass")
        else:
            self._edits.append((*self._whole_line(statement), ""))

    def _is_needed(self, statement: cst.CSTNode) -> bool:
        """Whether a statement shares its line, or is all that its block holds."""
        line = self._script.parent(statement)
        if not isinstance(line, cst.SimpleStatementLine) or len(line.body) > 1:
            return True
        block = self._script.parent(line)
        return isinstance(block, cst.IndentedBlock) and len(block.body) == 1

    def _whole_line(self, statement: cst.CSTNode) -> tuple[int, int]:
        """From the start of its line to that of the next; only up to a comment, if there is one."""
        start, end = self._script.span(statement)
        line_end = self._line_end(statement)
        rest = self._text[end:line_end].lstrip()
        if rest:
            return start, line_end - len(rest)
        after = self._text[line_end : line_end + 2]
        width = 2 if after == b"\r\n" else len(after[:1])
        return self._line_start(statement), line_end + width

    def _indent(self, statement: cst.CSTNode) -> str:
        line = self._text[self._line_start(statement) :]
        return line[: len(line) - len(line.lstrip(b" \t\f"))].decode("utf-8")

    def _line_start(self, statement: cst.CSTNode) -> int:
        start, _ = self._script.span(statement)
        return max(self._text.rfind(b"\n", 0, start), self._text.rfind(b"\r", 0, start)) + 1

    def _line_end(self, statement: cst.CSTNode) -> int:
        """Where the line ends on which the last statement beside this one does."""
        _, end = self._script.span(self._script.parent(statement).body[-1])
        ends = (self._text.find(newline, end) for newline in (b"\n", b"\r"))
        return min((at for at in ends if at >= 0), default=len(self._text))
