"""Reads TensorFlow 1 scripts without running them: `checker` judges, `rewriter` writes copies.

`syntax`, `script` and `installed_sources` read; `verdict` judges one name; `new_names`, `renaming`,
`prologue` and `source_editor` make a copy that needs no shim.
"""
