"""Weights into the variables of a TF1 graph."""

from __future__ import annotations


def assign(session, values: dict) -> None:
    """Gives variables their values in one `session.run`.

    Args:
        session: a `tf.Session` of the variables' graph.
        values: variable -> array of its shape.
    """
    # Running the initialisers with their values fed adds no op to the graph and runs once; an
    # assign op and a run for each variable costs seconds on a large net.
    feed = {variable.initializer.inputs[1]: value for variable, value in values.items()}
    session.run([variable.initializer for variable in values], feed)
