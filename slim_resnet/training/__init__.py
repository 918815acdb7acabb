"""Training with tf-slim on today's TensorFlow: recipe, input, graph, hooks, loop, curves.

`loop.train` is the whole of it; `model.build` makes the graph, and takes a `placement.Placement`
where training is spread over processes. Importing this package imports no framework.
"""
