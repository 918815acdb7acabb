"""Several processes on TensorFlow's own runtime, as the code of its day ran them.

Variables live on the parameter servers (`tf.train.replica_device_setter`), each worker computes on
its own share of the images (between-graph replication), and a `MonitoredTrainingSession` ties them
together. Synchronous workers make each step together (`tf.train.SyncReplicasOptimizer`, gradients
averaged); asynchronous ones change the variables as they come. Batch norms see the batch of their
worker, as slim's did; in synchronous training the chief's alone moves the moving statistics.
"""

from __future__ import annotations

from slim_resnet.compat import tf
from slim_resnet.training.placement import Placement
from slim_resnet.training.tasks import Task

_TOKENS = "sync_token_q"  # the name that SyncReplicasOptimizer's queue is shared by


def placement(task: Task, *, synchronous: bool = True) -> Placement:
    """Starts this worker's server and says where its graph goes.

    Args:
        task: a chief's or worker's.
        synchronous: whether the workers make each step together.

    Returns:
        A `Placement` for `loop.train`.
    """
    here = f"/job:{task.job}/task:{task.index}"
    spec = tf.train.ClusterSpec({job: list(hosts) for job, hosts in _trainers(task).items()})
    # Who is filtered out is not waited for: a worker that is gone stops no other.
    config = tf.ConfigProto(device_filters=["/job:ps", here])
    server = tf.distribute.Server(spec, task.job, task.index, config=config)

    def wrap(optimizer):
        if not synchronous:
            return optimizer, (_EndHook(task),)
        optimizer = tf.train.SyncReplicasOptimizer(
            optimizer, replicas_to_aggregate=task.num_workers, total_num_replicas=task.num_workers
        )
        # No tokens to begin with: with any, a worker could go a step ahead and count twice.
        together = optimizer.make_session_run_hook(task.is_chief, num_tokens=0)
        return optimizer, (together, _EndHook(task, optimizer if task.is_chief else None))

    return Placement(
        master=server.target,
        is_chief=task.is_chief,
        device=tf.train.replica_device_setter(worker_device=here, cluster=spec),
        worker=task.worker,
        num_workers=task.num_workers,
        synchronous=synchronous,
        wrap_optimizer=wrap,
        config=config,
        # The thread that applies the gradients waits for the workers' next ones, which never come.
        stop_grace_seconds=1,
    )


def serve(task: Task) -> None:
    """A parameter server: holds variables until every worker has ended its training."""
    spec = tf.train.ClusterSpec({job: list(hosts) for job, hosts in _trainers(task).items()})
    config = tf.ConfigProto(device_filters=["/job:ps"])
    server = tf.distribute.Server(spec, task.job, task.index, config=config)
    with tf.Graph().as_default(), tf.Session(server.target, config=config) as session:
        ended = _ended(task.index, task.num_workers).dequeue()
        for _ in range(task.num_workers):
            session.run(ended)


def _trainers(task: Task) -> dict:
    return {job: hosts for job, hosts in task.cluster.items() if job != "evaluator" and hosts}


def _ended(server: int, num_workers: int):
    """The queue on a parameter server into which every worker puts that it has ended."""
    with tf.device(f"/job:ps/task:{server}"):
        return tf.FIFOQueue(num_workers, tf.int32, shapes=[], shared_name=f"ended_{server}")


class _EndHook(tf.train.SessionRunHook):
    """Tells the parameter servers that this worker ends.

    `together` is the optimizer of synchronous workers, which the chief, when it ends, must not
    leave waiting for a step that will not be made.
    """

    def __init__(self, task: Task, together=None):
        self._task, self._together = task, together

    def begin(self):
        count = self._task.num_workers
        servers = range(len(self._task.cluster["ps"]))
        self._ops = [_ended(i, count).enqueue(self._task.worker) for i in servers]
        if self._together:
            step = tf.train.get_global_step()
            with tf.device(step.device):
                tokens = tf.FIFOQueue(-1, step.dtype.base_dtype, shapes=[], shared_name=_TOKENS)
                self._ops.append(tokens.enqueue_many(tf.fill([count], step.read_value())))
            # Its thread waits for gradients until the session is closed, which is no error.
            runner = self._together.get_chief_queue_runner()
            runner._queue_closed_exception_types += (tf.errors.CancelledError,)

    def end(self, session):
        session.run(self._ops)
