#!/usr/bin/env python
"""Record what a legacy TensorFlow graph is and computes, before its machine goes away.

Copy this one file to the old machine and run it there: Python 2.7 or 3.5+, TensorFlow 1.4 to 1.15
(2.x works too), NumPy, nothing else. The record holds the graph, its variables and samples of
every end point, so that a rebuilt network can be compared with it years later:

  python record_legacy.py --builder nets.resnet_v1:resnet_v1_50 --kwargs '{"num_classes": 1000}' \\
      --arg-scope nets.resnet_v1:resnet_arg_scope --image-size 64x64 --output record.npz
  python record_legacy.py --meta model.meta --checkpoint model.ckpt-60 --output record.npz
  python record_legacy.py --frozen frozen.pb --input images:0 --output record.npz
  python record_legacy.py --show record.npz

Weights are not stored. A seeded record (the default) draws each variable from a generator seeded
with the variable's own name, see `seeded_value`; images are made likewise, see `seeded_images`.
Anyone can make both again with NumPy alone; a CRC-32 of each tells whether it went well.

Format 1 is one compressed .npz without pickles:
  record.json    uint8, UTF-8 JSON: everything that is not a large array
  graph_def      uint8, the serialized GraphDef of the float32 graph. A constant of more than 1024
                 elements keeps its dtype and shape but has no contents; "constants" in record.json
                 lists it with the CRC-32 of its bytes
  CASE|samples   1-D, all end points joined, CASE being DTYPE|HEIGHTxWIDTH. A tensor of at most
                 "samples" elements is there whole; of a larger one, flattened, the elements
                 np.linspace(0, size - 1, samples).astype(int). Each of the "end_points" says per
                 case where its samples start ("offsets") and what its shape was ("shapes")
  CASE|stats     float64 [end points, 4]: mean, standard deviation, minimum, maximum
  CASE|reg       float64 scalar: sum of the regularization losses, if there are any
With --training a moving statistic after one run of the update ops is the end point
"after|VARIABLE". `read_record` reads a record.
"""
# The style of Python 2.7, which has to run this:
# ruff: noqa: B904, B905, UP010, UP024, UP031
from __future__ import absolute_import, division, print_function

import argparse
import collections
import contextlib
import inspect
import json
import os
import platform
import pydoc
import re
import sys
import warnings
import zlib

import numpy as np

FORMAT = 1
SLIM_MODULES = ('tensorflow.contrib.slim', 'tf_slim')
LARGE_CONSTANT = 1024  # elements
# The end points of an imported graph that names none: the op types that close a layer.
LAYER_OPS = ('Relu', 'Relu6', 'Elu', 'BiasAdd', 'Add', 'AddV2', 'AddN', 'ConcatV2', 'MaxPool',
             'AvgPool', 'Mean', 'Softmax')
FUSED_BATCH_NORMS = ('FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3')
RECORDED_OPTIONS = ('mode', 'builder', 'kwargs', 'arg_scope', 'arg_scope_kwargs', 'feed',
                    'batch_size', 'channels', 'training', 'samples')
FILE_OPTIONS = ('meta', 'frozen', 'checkpoint')
AFTER = 'after|'  # before the name of a variable that was read after an update
STATISTICS = ('mean', 'std', 'min', 'max')

# A graph ready to run; end_points is an ordered {name: tensor}, outputs lists some of its names.
Net = collections.namedtuple('Net', 'graph images end_points outputs')
# What one run at one image size gave; points is an ordered {end point name: Point}.
Case = collections.namedtuple('Case', 'name points regularization')
Point = collections.namedtuple('Point', 'shape samples stats')


class RecordError(Exception):
    """What the user has to change, in one sentence."""


def log(message):
    sys.stderr.write('record_legacy: %s\n' % message)
    sys.stderr.flush()


def brief(error):
    """An exception in one line."""
    if isinstance(error, RecordError):
        return str(error)
    text = (str(error).strip().splitlines() or [''])[0]
    return '%s: %s' % (type(error).__name__, text if len(text) <= 200 else text[:200] + '...')


# --- Seeded numbers ------------------------------------------------------------------------------

def crc32(data):
    """CRC-32, never negative (Python 2.7's may be)."""
    return zlib.crc32(data) & 0xffffffff


def generator(name):
    """The generator that belongs to `name`. NumPy promises that RandomState never changes."""
    return np.random.RandomState(crc32(name.encode('utf-8')))


def seeded_value(name, shape):
    """The "seeded-v1" float32 value of the float variable `name` (without the ':0').

    Such weights keep activations in scale through a deep net, so no end point overflows or
    vanishes; and no two variables are alike, so none can be taken for another.
    """
    rng, last = generator(name), name.split('/')[-1]
    if len(shape) >= 2:
        value = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
    elif last == 'moving_variance':
        value = rng.uniform(0.5, 1.5, shape)
    elif last == 'gamma':
        value = rng.uniform(0.5, 1.0, shape)
    else:
        value = 0.1 * rng.standard_normal(shape)
    return np.asarray(value).astype(np.float32)


def seeded_images(size, batch_size, channels):
    """Float32 images [batch_size, height, width, channels]; `size` is (height, width)."""
    shape = (batch_size,) + size + (channels,)
    return generator('images|' + size_name(size)).uniform(-1, 1, shape).astype(np.float32)


def size_name(size):
    return '%dx%d' % size


# --- TensorFlow, whichever it is -----------------------------------------------------------------

def tf1():
    """TensorFlow's 1.x interface, imported late: reading a record needs no TensorFlow."""
    import tensorflow
    return getattr(tensorflow.compat, 'v1', tensorflow)


@contextlib.contextmanager
def stderr_closed():
    """Sends what C++ writes to stderr nowhere; TF 2.x heeds no log level while it is imported."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def start_tensorflow():
    """Imports TensorFlow, keeps its noise off the screen and has it behave as 1.x."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    warnings.filterwarnings('ignore')
    with stderr_closed():
        tf = tf1()
    tf.logging.set_verbosity(tf.logging.ERROR)
    if not tf.VERSION.startswith('1.'):
        tf.disable_v2_behavior()


def session(graph):
    """A session on the CPU, wherever the graph was meant to run: CPUs agree best."""
    tf = tf1()
    config = tf.ConfigProto(device_count={'GPU': 0}, allow_soft_placement=True)
    return tf.Session(graph=graph, config=config)


def op_of(item):
    """The op of a tensor or of an op: collections hold both."""
    return getattr(item, 'op', item)


def positions(graph):
    """{op name: creation order}."""
    return {op.name: position for position, op in enumerate(graph.get_operations())}


def graph_variables(graph):
    """Ordered {name: variable} of every variable in any collection, in creation order."""
    order, found = positions(graph), {}
    for key in graph.get_all_collection_keys():
        for item in graph.get_collection(key):
            if hasattr(item, 'assign'):
                found[item.name.split(':')[0]] = item
    return collections.OrderedDict(
        sorted(found.items(), key=lambda item: order[item[1].op.name]))


def variable_setter(graph):
    """A function (session, {variable name: value}) that sets all variables in one run.

    Assigning placeholders suits ref and resource variables alike. (Feeding the initial values
    instead would not do: two variables may be initialized from one tensor.)
    """
    tf = tf1()
    placeholders, assignments = {}, []
    with graph.as_default():
        for name, variable in graph_variables(graph).items():
            placeholders[name] = tf.placeholder(variable.dtype.base_dtype, variable.get_shape())
            assignments.append(op_of(variable.assign(placeholders[name])))

    def set_variables(sess, values):
        sess.run(assignments, {placeholder: values[name].astype(placeholder.dtype.as_numpy_dtype)
                               for name, placeholder in placeholders.items()})
    return set_variables


# --- Building: each mode gives a Net -------------------------------------------------------------

def locate(spec, option):
    """The object that 'package.module:name' stands for."""
    module_name, _, name = spec.partition(':')
    try:
        module = pydoc.locate(module_name)
    except pydoc.ErrorDuringImport as error:
        raise RecordError('%s: importing %s failed (%s); mend the module first'
                          % (option, module_name, brief(error.value)))
    if module is None:
        raise RecordError('%s: there is no module %s; run this from the folder that holds it or '
                          'set PYTHONPATH' % (option, module_name))
    if not hasattr(module, name):
        raise RecordError('%s: module %s has no "%s"; write it as module:function'
                          % (option, module_name, name))
    return getattr(module, name)


def builder_kwargs(args, function):
    """The user's kwargs; a builder that takes `is_training` is told which record this is."""
    kwargs = dict(args.kwargs)
    if hasattr(inspect, 'signature'):
        parameters = inspect.signature(function).parameters
    else:
        parameters = inspect.getargspec(function).args
    if 'is_training' in parameters:
        kwargs['is_training'] = args.training or kwargs.get('is_training', False)
    return kwargs


def unfused(scope):
    """A copy of an arg scope that says fused=False wherever it says 'fused'."""
    return {key: unfused(value) if isinstance(value, dict) else key != 'fused' and value
            for key, value in scope.items()}


def arg_scopes(args, dtype):
    """The arg scopes to build in. FusedBatchNorm has no float64: there it is switched off."""
    scope = {}
    if args.arg_scope:
        scope = locate(args.arg_scope, '--arg-scope')(**args.arg_scope_kwargs)
    scopes = []
    for slim in [sys.modules[name] for name in SLIM_MODULES if name in sys.modules]:
        if dtype == 'float64':
            scopes.append(slim.arg_scope(unfused(scope)))
            scopes.append(slim.arg_scope([slim.batch_norm], fused=False))
        else:
            scopes.append(slim.arg_scope(scope))
    if args.arg_scope and not scopes:
        raise RecordError('--arg-scope: %s does not use tf.contrib.slim or tf_slim; leave it out'
                          % args.arg_scope)
    return scopes


def call_inside(contexts, function):
    """Calls `function` inside all `contexts` (Python 2.7 has no ExitStack)."""
    if not contexts:
        return function()
    with contexts[0]:
        return call_inside(contexts[1:], function)


def from_builder(args, dtype):
    """Calls the user's builder on a placeholder of `dtype`."""
    tf = tf1()
    function = locate(args.builder, '--builder')
    args.kwargs = builder_kwargs(args, function)
    graph = tf.Graph()
    with graph.as_default():
        size = args.image_size[0] if args.fixed_size else (None, None)
        images = tf.placeholder(dtype, [None] + list(size) + [args.channels], name='images')
        result = call_inside(arg_scopes(args, dtype), lambda: function(images, **args.kwargs))
    end_points, outputs = named_tensors(graph, result)
    return Net(graph, images, end_points, outputs)


def named_tensors(graph, result):
    """The end points and the output names in what a builder returned.

    A dict gives end points; a tensor that is not one of them becomes 'output', 'output_1', ...
    """
    tensor_type, order = tf1().Tensor, positions(graph)
    parts = result if isinstance(result, (tuple, list)) else [result]
    end_points, outputs = collections.OrderedDict(), []
    for part in [part for part in parts if isinstance(part, dict)]:
        items = [item for item in part.items() if isinstance(item[1], tensor_type)]
        if not isinstance(part, collections.OrderedDict):  # unordered before Python 3.7
            items.sort(key=lambda item: (order[item[1].op.name], item[0]))
        end_points.update(items)
    for tensor in [part for part in parts if isinstance(part, tensor_type)]:
        name = next((name for name, known in end_points.items() if known is tensor),
                    'output_%d' % len(outputs) if outputs else 'output')
        end_points[name] = tensor
        outputs.append(name)
    if not end_points:
        raise RecordError('--builder: it returned %s; let it return a tensor, (net, end_points) '
                          'or a dict of tensors' % type(result).__name__)
    return end_points, outputs


def from_file(args, dtype):
    """Imports a MetaGraph, or a frozen GraphDef as a MetaGraph that holds nothing else."""
    tf = tf1()
    meta = tf.MetaGraphDef()
    read_proto(meta if args.meta else meta.graph_def, args.meta or args.frozen)
    op_types = {node.name: node.op for node in meta.graph_def.node}
    if dtype == 'float64':
        meta.graph_def.CopyFrom(to_float64(meta.graph_def))
    graph = tf.Graph()
    with graph.as_default():
        tf.train.import_meta_graph(meta, clear_devices=True)
    return imported_net(args, graph, op_types)


MODES = {'builder': (from_builder, 'check --kwargs and --arg-scope'),
         'meta': (from_file, 'record it with the TensorFlow that made it'),
         'frozen': (from_file, 'record it with the TensorFlow that made it')}


def float32_net(args):
    """The Net in float32, which must succeed."""
    build, remedy = MODES[args.mode]
    try:
        return build(args, 'float32')
    except RecordError:
        raise
    except Exception as error:  # a builder is the user's: anything may come out of it
        raise RecordError('--%s: building the graph of %s failed (%s); %s' % (
            args.mode, getattr(args, args.mode), brief(error), remedy))


def read_proto(message, path):
    """Parses the file at `path` into `message`."""
    try:
        with open(path, 'rb') as source:
            message.ParseFromString(source.read())
    except EnvironmentError as error:
        raise RecordError('cannot read %s (%s); check the path' % (path, error.strerror))
    except Exception:  # protobuf's DecodeError has moved between versions
        raise RecordError('%s is not a binary %s; export it again' % (path, type(message).__name__))


def imported_net(args, graph, op_types):
    """Chooses the input, the end points and the outputs of an imported graph.

    End points are the ops that --end-points matches, or what slim collected as end points, or
    every layer. An output is what depends on the input and has no consumer; outputs are end
    points too. `op_types` are those of the file: what rewriting to float64 added does not count.
    """
    images = input_tensor(graph, args.input)
    reached = downstream(images)
    ops = [op for op in graph.get_operations() if op in reached and op.name in op_types
           and op.outputs and op.outputs[0].dtype.is_floating]
    outputs = [op.name for op in ops if not any(tensor.consumers() for tensor in op.outputs)]
    if args.end_points:
        names = [op.name for op in ops if re.search(args.end_points, op.name)]
    else:
        names = [tensor.op.name for key in graph.get_all_collection_keys()
                 if key.endswith('_end_points') for tensor in graph.get_collection(key)]
        names = names or [op.name for op in ops if op_types[op.name] in LAYER_OPS]
    names = names + [name for name in outputs if name not in names]
    end_points = [(name, graph.get_tensor_by_name(name + ':0')) for name in names]
    return Net(graph, images, collections.OrderedDict(end_points), outputs)


def input_tensor(graph, name):
    """The tensor `name`, or else the only placeholder that can hold images."""
    found = [op.outputs[0] for op in graph.get_operations() if op.type == 'Placeholder'
             and op.outputs[0].dtype.is_floating and op.outputs[0].get_shape().ndims in (None, 4)]
    names = ', '.join(tensor.name for tensor in found)
    if not name and len(found) == 1:
        return found[0]
    try:
        images = graph.get_tensor_by_name(name)
        images.get_shape().assert_has_rank(4)
        return images
    except (KeyError, TypeError, ValueError):
        raise RecordError('--input: %s is no image tensor of this graph; name one, as in --input '
                          'images:0 (placeholders: %s)' % (name, names or 'none'))


def downstream(tensor):
    """The set of ops that depend on `tensor`."""
    reached, queue = set(), [tensor]
    while queue:
        for op in queue.pop().consumers():
            if op not in reached:
                reached.add(op)
                queue.extend(op.outputs)
    return reached


# --- Rewriting graphs ----------------------------------------------------------------------------

def to_float64(graph_def):
    """A copy of a float32 GraphDef that computes in float64, under the same names.

    Types and constants are widened. Whatever that does not suit fails by itself when the graph is
    imported or run: its types do not fit, or there is no float64 kernel.
    """
    result = type(graph_def)()
    result.versions.CopyFrom(graph_def.versions)
    for node in graph_def.node:
        wide = result.node.add()
        wide.CopyFrom(node)
        for key in wide.attr:
            widen(wide.attr[key])
        if wide.op in FUSED_BATCH_NORMS:
            expand_batch_norm(wide, result.node)
    return result


def widen(attr):
    """Turns a float32 attribute of a node into float64, in place."""
    from tensorflow.python.framework import tensor_util
    single, double = tf1().float32.as_datatype_enum, tf1().float64.as_datatype_enum
    kind = attr.WhichOneof('value')
    if kind == 'type' and attr.type == single:
        attr.type = double
    elif kind == 'list':
        attr.list.type[:] = [double if item == single else item for item in attr.list.type]
    elif kind == 'tensor' and attr.tensor.dtype == single:
        value = tensor_util.MakeNdarray(attr.tensor)
        value = value.astype(np.float64) if value.shape else np.float64(decimal(value[()]))
        attr.tensor.CopyFrom(tensor_util.make_tensor_proto(value))


def decimal(value):
    """A float32 scalar as the decimal its author wrote: 1e-05, not 9.99999974737875e-06.

    The scalars of a graph are epsilons, decays and scales out of source code. Rounded to float32
    they alone would part the graph from a float64 rebuild by more than 1e-12.
    """
    texts = ['%.*g' % (digits, value) for digits in range(1, 10)]
    return next((float(text) for text in texts if np.float32(text) == value), float(value))


def expand_batch_norm(node, nodes):
    """Turns `node`, newest of `nodes`, into (x - mean) * rsqrt(variance + epsilon) * gamma + beta.

    The last step keeps the name of the node, so its consumers need no change.
    """
    if node.attr['is_training'].b or node.attr['data_format'].s not in (b'', b'NHWC'):
        raise RecordError('%s is in training mode or not NHWC' % node.name)
    dtype, epsilon = node.attr['T'].type, decimal(np.float32(node.attr['epsilon'].f))
    x, gamma, beta, mean, variance = node.input[:5]
    control = node.input[5:]
    steps = [('offset_variance', 'Add', variance, 'epsilon'),
             ('scale', 'Rsqrt', 'offset_variance'),
             ('centered', 'Sub', x, mean),
             ('normalized', 'Mul', 'centered', 'scale'),
             ('scaled', 'Mul', 'normalized', gamma)]
    local = {name: '%s/%s' % (node.name, name) for name in ['epsilon'] + [row[0] for row in steps]}
    constant = nodes.add(name=local['epsilon'], op='Const')
    constant.attr['dtype'].type = constant.attr['value'].tensor.dtype = dtype
    constant.attr['value'].tensor.tensor_shape.SetInParent()
    constant.attr['value'].tensor.double_val.append(epsilon)
    for row in steps:
        inputs = [local.get(name, name) for name in row[2:]]
        nodes.add(name=local[row[0]], op=row[1], input=inputs).attr['T'].type = dtype
    node.op = 'Add'
    node.input[:] = [local['scaled'], beta] + control
    node.attr.clear()
    node.attr['T'].type = dtype


def without_large_constants(graph_def):
    """A copy of a GraphDef whose large constants are empty, and a list of these."""
    from tensorflow.python.framework import tensor_util
    result, emptied = type(graph_def)(), []
    result.CopyFrom(graph_def)
    for node in [node for node in result.node if node.op == 'Const']:
        tensor = node.attr['value'].tensor
        if np.prod([dim.size for dim in tensor.tensor_shape.dim]) <= LARGE_CONSTANT:
            continue
        value = tensor_util.MakeNdarray(tensor)
        emptied.append({'name': node.name, 'dtype': value.dtype.name, 'shape': value.shape,
                        'crc32': crc32(value.tobytes())})
        tensor.CopyFrom(type(tensor)(dtype=tensor.dtype, tensor_shape=tensor.tensor_shape))
    return result, emptied


def serialized(message):
    """The bytes of a message, the same ones every time where protobuf can promise that."""
    try:
        data = message.SerializeToString(deterministic=True)
    except TypeError:  # protobuf before 3.5
        data = message.SerializeToString()
    return np.frombuffer(data, np.uint8)


# --- Running -------------------------------------------------------------------------------------

def weight_values(args, graph):
    """{variable name: value} for the float32 graph, seeded or out of the checkpoint."""
    variables = graph_variables(graph)
    if args.weights == 'checkpoint':
        return restored_values(args, graph, variables)
    values = {}
    for name, variable in variables.items():
        dtype, shape = variable.dtype.base_dtype, tuple(variable.get_shape().as_list())
        value = seeded_value(name, shape) if dtype.is_floating else np.zeros(shape)
        values[name] = value.astype(dtype.as_numpy_dtype)
    return values


def restored_values(args, graph, variables):
    """{variable name: value} out of the checkpoint, which may be in any of TensorFlow's formats."""
    tf = tf1()
    with graph.as_default():
        saver = tf.train.Saver(list(variables.values()))
    with session(graph) as sess:
        try:
            saver.restore(sess, args.checkpoint)
        except (tf.errors.OpError, ValueError) as error:
            raise RecordError('--checkpoint: %s cannot be restored into this graph (%s); give the '
                              'one that belongs to it, without .index, .meta or .data-00000-of-'
                              '00001' % (args.checkpoint, brief(error)))
        return dict(zip(variables, sess.run(list(variables.values()))))


def run_cases(args, dtype, net, weights):
    """Runs every image size and yields its Case."""
    tf = tf1()
    set_variables = variable_setter(net.graph)
    losses = net.graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    with session(net.graph) as sess:
        for size in args.image_size:
            case = '%s|%s' % (dtype, size_name(size))
            log('running %s' % case)
            images = seeded_images(size, args.batch_size, args.channels)
            feed = dict(args.feed)
            feed[net.images] = images.astype(net.images.dtype.as_numpy_dtype)
            try:
                set_variables(sess, weights)
                values, penalties = sess.run([list(net.end_points.values()), losses], feed)
                values = list(zip(net.end_points, values))
                if args.training:
                    set_variables(sess, weights)  # some graphs update while they compute
                    values += after_update(net.graph, sess, feed)
                points = [(name, summary(value, dtype, args.samples)) for name, value in values]
            except (tf.errors.OpError, TypeError, ValueError) as error:
                raise RecordError('%s cannot be run (%s); try another --image-size, or --feed '
                                  'what is missing' % (case, brief(error)))
            yield Case(case, collections.OrderedDict(points),
                       np.sum(penalties, dtype=np.float64) if losses else None)


def after_update(graph, sess, feed):
    """[(AFTER + variable name, value)] of the moving statistics once the update ops have run."""
    sess.run([op_of(item) for item in graph.get_collection(tf1().GraphKeys.UPDATE_OPS)], feed)
    moving = [(name, variable) for name, variable in graph_variables(graph).items()
              if name.split('/')[-1] in ('moving_mean', 'moving_variance')]
    values = sess.run([variable for _, variable in moving])
    return [(AFTER + name, value) for (name, _), value in zip(moving, values)]


def summary(value, dtype, count):
    """A tensor as a Point: at most `count` elements, evenly spread, and its statistics."""
    flat = np.asarray(value, np.float64).ravel()
    stats = [getattr(flat, statistic)() for statistic in STATISTICS]
    if flat.size > count:
        flat = flat[np.linspace(0, flat.size - 1, count).astype(int)]
    return Point(np.shape(value), flat.astype(dtype), stats)


# --- Recording -----------------------------------------------------------------------------------

def describe_graph(graph, weights):
    """The parts of record.json that the graph and the values of its variables decide."""
    keys = tf1().GraphKeys
    members = {key: graph.get_collection(key) for key in graph.get_all_collection_keys()}
    names = {key: {getattr(item, 'name', None) for item in members[key]} for key in members}
    variables = [{'name': name, 'shape': variable.get_shape().as_list(),
                  'dtype': variable.dtype.base_dtype.name,
                  'trainable': variable.name in names.get(keys.TRAINABLE_VARIABLES, ()),
                  'collections': sorted(key for key in names if variable.name in names[key]),
                  'crc32': crc32(weights[name].tobytes())}
                 for name, variable in graph_variables(graph).items()]
    return {'variables': variables,
            'collections': {key: len(members[key]) for key in members},
            'regularization_losses': [op_of(item).name for item
                                      in members.get(keys.REGULARIZATION_LOSSES, ())],
            'update_ops': [op_of(item).name for item in members.get(keys.UPDATE_OPS, ())]}


def describe_run(args):
    """The parts of record.json that the command line and the machine decide; no folders."""
    info = {key: getattr(args, key) for key in RECORDED_OPTIONS}
    for key in FILE_OPTIONS:
        info[key] = getattr(args, key) and os.path.basename(getattr(args, key))
    info['format'] = FORMAT
    info['versions'] = {'python': platform.python_version(), 'tensorflow': tf1().VERSION,
                        'numpy': np.__version__}
    info['weights'] = 'seeded-v1' if args.weights == 'seeded' else args.weights
    info['image_sizes'] = [size_name(size) for size in args.image_size]
    info['images_crc32'] = {
        size_name(size): crc32(seeded_images(size, args.batch_size, args.channels).tobytes())
        for size in args.image_size}
    return info


def pack(cases):
    """Cases as ({member: array}, the "end_points" of record.json without their tensors)."""
    arrays, entries = {}, collections.OrderedDict()
    for case in cases:
        offset = 0
        for name, point in case.points.items():
            entry = entries.setdefault(name, {'name': name, 'shapes': {}, 'offsets': {}})
            entry['shapes'][case.name], entry['offsets'][case.name] = point.shape, offset
            offset += point.samples.size
        points = list(case.points.values())
        arrays[case.name + '|samples'] = np.concatenate([point.samples for point in points])
        arrays[case.name + '|stats'] = np.array([point.stats for point in points])
        if case.regularization is not None:
            arrays[case.name + '|reg'] = np.array(case.regularization)
    return arrays, list(entries.values())


def make_record(args):
    """Builds, runs and describes the graph: (record.json as a dict, {member: array})."""
    log('building the float32 graph')
    net = float32_net(args)
    args.channels = net.images.get_shape().with_rank(4).as_list()[-1] or args.channels
    graph_def, constants = without_large_constants(net.graph.as_graph_def())
    weights = weight_values(args, net.graph)
    info = dict(describe_run(args), input=net.images.op.name, outputs=net.outputs,
                constants=constants, skipped={}, **describe_graph(net.graph, weights))
    cases = []
    for dtype in args.dtype:
        try:
            cases += cases_of(args, dtype, net, weights)
        except Exception as error:  # float64 is welcome, but many an old graph cannot have it
            if dtype == 'float32':
                raise
            info['skipped'][dtype] = brief(error)
            log('%s is left out: %s' % (dtype, brief(error)))
    if not cases:
        raise RecordError('nothing could be recorded in %s; add --dtype float32' % args.dtype[0])
    arrays, info['end_points'] = pack(cases)
    for entry in info['end_points']:
        name = entry['name']
        entry['tensor'] = (net.end_points[name].name if name in net.end_points
                           else name[len(AFTER):] + ':0')
    info['cases'] = [case.name for case in cases]
    return info, dict(arrays, graph_def=serialized(graph_def))


def cases_of(args, dtype, net, weights):
    """The cases of one dtype. `net` is the float32 graph; others must have its end points."""
    if dtype != 'float32':
        log('building the %s graph' % dtype)
        names, net = list(net.end_points), MODES[args.mode][0](args, dtype)
        if list(net.end_points) != names:
            raise RecordError('the %s graph has other end points than the float32 one' % dtype)
    return list(run_cases(args, dtype, net, weights))


def write_record(path, info, arrays):
    """Writes the record at once or not at all."""
    text = json.dumps(info, sort_keys=True).encode('utf-8')
    members = dict(arrays, **{'record.json': np.frombuffer(text, np.uint8)})
    temporary = '%s.%d.tmp' % (path, os.getpid())
    try:
        with open(temporary, 'wb') as target:
            np.savez_compressed(target, **members)
            target.flush()
            os.fsync(target.fileno())
        getattr(os, 'replace', os.rename)(temporary, path)
    except EnvironmentError as error:
        raise RecordError('--output: cannot write %s (%s); choose another place' % (path, error))
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    log('wrote %s: %d end points in %s; %d KiB' % (
        path, len(info['end_points']), ', '.join(info['cases']), os.path.getsize(path) // 1024))


# --- Reading -------------------------------------------------------------------------------------

class Record(collections.namedtuple('Record', 'info arrays')):
    """A record in memory: `info` is record.json, `arrays` holds the other members by name."""

    def end_point(self, case, name):
        """The {'shape', 'samples', 'mean', 'std', 'min', 'max'} of an end point in a case."""
        names = [entry['name'] for entry in self.info['end_points']]
        row = names.index(name)
        entry = self.info['end_points'][row]
        start, shape = entry['offsets'][case], tuple(entry['shapes'][case])
        stop = start + min(int(np.prod(shape)), self.info['samples'])
        stats = zip(STATISTICS, self.arrays[case + '|stats'][row].tolist())
        return dict(stats, shape=shape, samples=self.arrays[case + '|samples'][start:stop])


def read_record(path):
    """Reads the record at `path`; NumPy is all it needs."""
    try:
        with np.load(path, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        info = json.loads(arrays.pop('record.json').tobytes().decode('utf-8'))
    except Exception as error:  # a zip, NumPy, JSON or file error: what matters is which file
        raise RecordError('%s is not a record (%s); check the path' % (path, brief(error)))
    if info['format'] != FORMAT:
        raise RecordError('%s has format %s and this script reads %d; use the script that came '
                          'with it' % (path, info['format'], FORMAT))
    return Record(info, arrays)


def show(path):
    """Prints what the record at `path` holds."""
    record = read_record(path)
    for key in sorted(record.info):
        print('%-22s %s' % (key, pydoc.cram(json.dumps(record.info[key], sort_keys=True), 76)))
    for case in record.info['cases']:
        print('\n' + case)
        for entry in record.info['end_points']:
            point = record.end_point(case, entry['name'])
            print('  %-62s %-20s mean %11.4g  std %11.4g' % (
                entry['name'], list(point['shape']), point['mean'], point['std']))


# --- Command line --------------------------------------------------------------------------------

def image_size(text):
    """'97x65' as (97, 65), height first."""
    match = re.match(r'([1-9]\d*)x([1-9]\d*)$', text)
    if not match:
        raise argparse.ArgumentTypeError('%r is not HEIGHTxWIDTH, such as 97x65' % text)
    return tuple(int(number) for number in match.groups())


def json_object(text):
    """'{"num_classes": 10}' as a dict."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('%r is not a JSON object; quote it for the shell' % text)
    return value


def positive(text):
    """'64' as 64."""
    if not re.match(r'[1-9]\d*$', text):
        raise argparse.ArgumentTypeError('%r is not a positive number' % text)
    return int(text)


def parse(argv):
    """The command line, with what follows from it filled in."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument('--builder', help='module:function, called as function(images, **kwargs)')
    mode.add_argument('--meta', help='a MetaGraph file')
    mode.add_argument('--frozen', help='a frozen GraphDef file')
    mode.add_argument('--show', metavar='RECORD', help='print what a record holds')
    add = parser.add_argument
    add('--output', help='the record to write')
    add('--kwargs', type=json_object, default={}, help='of the builder; is_training is added')
    add('--arg-scope', help='module:function that gives the slim arg scope to build in')
    add('--arg-scope-kwargs', type=json_object, default={})
    add('--checkpoint', help='its prefix; restored unless --weights seeded')
    add('--weights', choices=('seeded', 'checkpoint'))
    add('--input', help='the image tensor of an imported graph, such as images:0')
    add('--feed', type=json_object, default={}, help='values of other placeholders')
    add('--end-points', metavar='REGEX', help='op names, in an imported graph')
    add('--image-size', type=image_size, action='append', metavar='HxW', help='may be repeated')
    add('--fixed-size', action='store_true',
        help='for a builder that must know the size of its images: one --image-size')
    add('--batch-size', type=positive, default=2)
    add('--channels', type=positive, default=3, help='where the graph does not tell')
    add('--dtype', choices=('float32', 'float64'), action='append', help='default: both')
    add('--training', action='store_true', help='in training mode, with one update after')
    add('--samples', type=positive, default=64, help='at most this many of every end point')
    args = parser.parse_args(argv)
    args.mode = next((mode for mode in MODES if getattr(args, mode)), None)
    args.image_size = args.image_size or [(64, 64), (97, 65)]
    if args.fixed_size and len(args.image_size) > 1:
        parser.error('--fixed-size goes with one --image-size')
    args.dtype = args.dtype or ['float32', 'float64']
    args.weights = args.weights or ('checkpoint' if args.checkpoint else 'seeded')
    if args.frozen:
        args.weights = 'frozen'
    if args.weights == 'checkpoint' and not args.checkpoint:
        parser.error('--weights checkpoint needs --checkpoint')
    if args.mode and not args.output:
        parser.error('--output is missing')
    if args.mode and not os.path.isdir(os.path.dirname(args.output) or '.'):
        parser.error('--output: there is no folder for %s; make it first' % args.output)
    return args


def main(argv=None):
    args = parse(argv)
    sys.path.insert(0, os.getcwd())
    try:
        if args.show:
            show(args.show)
        else:
            start_tensorflow()
            write_record(args.output, *make_record(args))
    except RecordError as error:
        log('error: %s' % error)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
