"""Is a network rebuilt on today's TensorFlow the one that an old machine recorded?

`record` reads what `tools/record_legacy.py` wrote, `rebuilt` builds the network again, `canonical`
(with `atrous` and `algebra`) leaves out of a graph what computes nothing, `graph_diff` compares two
such graphs (made of `forms`),
`aspects` adds variables, losses and collections, `measured` the numbers, `network_check` does it
all and `html_report` shows it.
"""
