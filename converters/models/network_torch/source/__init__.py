"""A network as Python source: plain `nn.Module`s along the scopes of its variables.

The steps of a plan (`flow`) are grouped by scope (`regions`); what is written alike is one class
(`classes`), its `forward` in lines as a person would have them (`forward`); `emitting` makes the
text. `converters.formats.torch_source` writes the folder.
"""
