"""A graph to look at: how many nodes it has, as text, and as a picture. All through PyTensor's own printing."""

import pytensor
from pytensor.graph.fg import FunctionGraph
from pytensor.printing import pydotprint
from pytensor.scan.op import Scan


def before_rewriting(graph):
    """The nodes of a `Graph` as they were written and differentiated."""
    nodes = FunctionGraph([*graph.inputs.values()], [*graph.outputs.values()], clone=True)
    return named(nodes, graph.outputs)


def named(nodes, outputs):
    """The same nodes, what comes out of them called by its name; what goes in has one."""
    for variable, name in zip(nodes.outputs, outputs, strict=True):
        if variable not in nodes.inputs:
            variable.name = name
    return nodes


def size(nodes):
    """(nodes, nodes inside its loops, at any depth). An apply node is one operation on its inputs."""
    inner = [node.op.fgraph for node in nodes.apply_nodes if isinstance(node.op, Scan)]
    return len(nodes.apply_nodes), sum(sum(size(loop)) for loop in inner)


def as_text(nodes):
    """The tree of every output, and of every loop, each node once."""
    return pytensor.dprint(nodes, file="str", print_type=True)


def draw(nodes, file, kind):
    """A picture, "svg", "png" or "pdf". Needs pydot, and graphviz' `dot` on the PATH."""
    pydotprint(nodes, outfile=file, format=kind, with_ids=True, var_with_name_simple=True, print_output_file=False)
