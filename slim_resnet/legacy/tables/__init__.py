"""What each name of TensorFlow 1.15, and of the Python around it, is today: data, no framework.

`symbols.lookup` answers from `contrib`, `contrib_removed`, `tensorflow`, `tensorflow_internals`,
`keras`, `tflearn` and `python_stdlib`; `public_names` lists what TensorFlow 2.21 has.
"""
