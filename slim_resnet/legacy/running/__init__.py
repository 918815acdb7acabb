"""The shim: has a TensorFlow 1 script import the API of 1.15, and runs it.

`installation` puts it in place, `import_hook` decides what an `import` brings, `old_modules` are
the modules that it brings, `script_source` says what is a script and compiles it, `runner` runs it.
"""
