"""Damages files of every kind that the readers know, and judges what they make of them.

`samples` makes small whole files, `damage` spoils them, `tricks` are hostile files made on purpose,
`judge` reads one and says whether that went as it must, `campaign` does it many times in processes
of their own. `tools/fuzz_readers.py` is the command line.
"""
