"""Studies that a person has fetched from a remote by the page: one order after the other, with how far it is."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from node.errors import NodeError, told
from node.failure import FAULTS, fault_of
from node.operations.retrieve import Order, Retrieved, retrieve
from node.retrieval.search import Ceiling
from node.settings import Settings


@dataclass(frozen=True, slots=True)
class Fetch:
    """An order, how many of its objects have come, and how it ended: `done`, or the sentence that says why not.

    `total` is 0 until the remote has told it.
    """

    order: Order
    by: str
    came: int = 0
    total: int = 0
    done: Retrieved | None = None
    fault: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.done is None and not self.fault


class Fetching:
    """What is fetched, and what was fetched last; the state of each study is kept in the storage."""

    def __init__(self, settings: Settings, ceiling: Ceiling) -> None:
        self._settings, self._ceiling = settings, ceiling
        self._lock = threading.Lock()
        self._now: Fetch | None = None

    @property
    def now(self) -> Fetch | None:
        """The order that is carried out, or was last; None where there was none since the start of the node."""
        with self._lock:
            return self._now

    def look(self, order: Order) -> Retrieved:
        """What the remote has, and what of it is here; raises as `retrieve`."""
        return retrieve(self._settings, order, self._ceiling, dry_run=True)

    def begin(self, order: Order, by: str) -> None:
        """Begin to fetch.

        Raises:
            NodeError: another order is under way.
        """
        with self._lock:
            if self._now is not None and self._now.is_running:
                raise NodeError(f"{self._now.by} is just fetching from {self._now.order.remote}: wait until that ends")
            # Not waited for at a stop: what is cut off stays to be fetched, as after a kill.
            threading.Thread(target=self._run, args=(order,), name="fetching by the page", daemon=True).start()
            self._now = Fetch(order, by)  # which the thread finds: until then it waits for the lock

    def _run(self, order: Order) -> None:
        done, fault = None, "it broke off: the log says why"  # unless something else is known
        try:
            done = retrieve(self._settings, order, self._ceiling, watch=self._counted)
            fault = "" if done.studies else f"{done.remote} has no such study"
        except (NodeError, *FAULTS) as error:
            fault = told(error)
            if not isinstance(error, NodeError) and fault_of(error) is None:
                raise  # to the log: nothing that a machine lacks explains it
        finally:
            self._change(done=done, fault=fault)

    def _counted(self, items: Iterable[None], total: int) -> Iterator[None]:
        self._change(total=total)
        for came, item in enumerate(items, 1):
            self._change(came=came)
            yield item

    def _change(self, **values: object) -> None:
        with self._lock:
            assert self._now is not None
            self._now = replace(self._now, **values)  # type: ignore[arg-type]
