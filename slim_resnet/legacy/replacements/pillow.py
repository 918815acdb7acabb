"""Pillow's methods of before 10: how large a text is drawn; and the font that it drew with."""

from __future__ import annotations

import contextlib

from PIL import ImageDraw, ImageFont


def font_getsize(self, text, *args, **kwargs) -> tuple[int, int]:
    """`FreeTypeFont.getsize`: (width, height) of a line, the room above it counted."""
    left, _, right, bottom = self.getbbox(text, "", *args, **kwargs)
    return right - left, bottom


def draw_textsize(self, text, font=None, spacing: int = 4, *args, **kwargs) -> tuple[int, int]:
    """`ImageDraw.textsize`: (width, height) of a text of one or more lines."""
    font = self.getfont() if font is None else font
    lines = text.split("\n")
    sizes = [_size(font, line, *args, **kwargs) for line in lines]
    if len(lines) == 1:
        return sizes[0]
    line = _size(font, "A", *args, **kwargs)[1] + spacing
    return max(width for width, _ in sizes), len(lines) * line - spacing


def _size(font, text, *args, **kwargs) -> tuple[int, int]:
    if isinstance(font, ImageFont.ImageFont):  # of bitmaps: all lines are as high
        _, _, width, height = font.getbbox(text)
        return width, height
    return font_getsize(font, text, *args, **kwargs)


def bitmap_getsize(self, text, *args, **kwargs) -> tuple[int, int]:
    """`ImageFont.getsize`: (width, height) of a line in a font of bitmaps."""
    return _size(self, text)


_METHODS = (
    (ImageFont.FreeTypeFont, "getsize", font_getsize),
    (ImageFont.ImageFont, "getsize", bitmap_getsize),
    (ImageDraw.ImageDraw, "textsize", draw_textsize),
    (ImageDraw.ImageDraw, "multiline_textsize", draw_textsize),
)


def restore(undo: contextlib.ExitStack) -> None:
    """Gives Pillow's classes the methods that they lack; `undo` takes them back."""
    for owner, name, method in _METHODS:
        if not hasattr(owner, name):
            setattr(owner, name, method)
            undo.callback(delattr, owner, name)
    bitmaps = getattr(ImageFont, "load_default_imagefont", None)
    if bitmaps is not None:  # since 10.1 the default is another font
        undo.callback(setattr, ImageFont, "load_default", ImageFont.load_default)
        ImageFont.load_default = lambda size=None: bitmaps()
