"""Faults during a run. Each ends with all servers ready again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

from cluster.database import Database
from cluster.processes import say, wait_for
from cluster.replica import Fleet

READY_DEADLINE_S = 90.0

# How long a standby stands still after the connections were cut, in seconds.
STILL_S = (0.5, 3.0)

# The servers' time-out for a statement in runs with faults.
STATEMENT_TIMEOUT_S = 3

# How long the network stands still, in seconds: shorter and longer than this time-out.
STAND_S = (0.5, 2.5 * STATEMENT_TIMEOUT_S)

# The time between two faults, in seconds.
PAUSE_S = (0.3, 1.5)


class Faults:
    """Makes faults in random order. Without a database, only servers end. `cuts` needs the proxies before the database."""

    def __init__(self, fleet: Fleet, database: Database | None, seed: int, *, cuts: bool = True):
        self._cuts = cuts
        self.made: Counter[str] = Counter()
        self._fleet = fleet
        self._database = database
        self._chance = random.Random(seed)

    def kinds(self) -> dict[str, Callable[[], None]]:
        kinds = {"kill": self._kill, "kill all": self._kill_all, "stop": self._stop}
        database = self._database
        if database is not None and self._cuts:
            kinds |= {
                "cut all": database.proxy.cut,
                "cut before commits": lambda: self._cut_commits("before"),
                "cut during commits": lambda: self._cut_commits("during"),
                "cut after commits": lambda: self._cut_commits("after"),
                "stand still": lambda: database.stand_still(self._chance.uniform(*STAND_S)),
            }
        if database is not None:
            kinds |= {
                "restart fast": lambda: database.restart("fast"),
                "restart immediate": lambda: database.restart("immediate"),
            }
        if database is not None and database.standby is not None:
            kinds["fail over"] = self._fail_over
            if self._cuts:
                kinds["cut waiting commits"] = lambda: database.cut_while_standby_stands_still(self._chance.uniform(*STILL_S))
        return kinds

    def run(self, seconds: float) -> None:
        """Makes each kind once, then others for this time."""
        end = time.monotonic() + seconds
        first = list(self.kinds())
        self._chance.shuffle(first)
        while first or time.monotonic() < end:
            kind = first.pop() if first else self._chance.choice(list(self.kinds()))
            begun = time.monotonic()
            self.kinds()[kind]()
            self.made[kind] += 1
            wait_for(f"all servers are ready after {kind!r}", self._all_ready, READY_DEADLINE_S)
            say(f"{kind}: all ready again after {time.monotonic() - begun:.1f} s")
            time.sleep(self._chance.uniform(*PAUSE_S))

    def _all_ready(self) -> bool:
        for replica in self._fleet.replicas:
            assert replica.is_running(), f"{replica.name} ended by itself:\n{replica.tail()}"
        return all(replica.is_ready() for replica in self._fleet.replicas)

    def _kill(self) -> None:
        replica = self._chance.choice(self._fleet.replicas)
        replica.kill()
        replica.start()

    def _kill_all(self) -> None:
        self._fleet.kill()
        self._fleet.start()

    def _stop(self) -> None:
        replica = self._chance.choice(self._fleet.replicas)
        code = replica.stop()
        assert code == 0, f"{replica.name} ended with {code}:\n{replica.tail()}"
        replica.start()

    def _cut_commits(self, moment: str) -> None:
        assert self._database is not None
        cut = self._database.proxy.counts()["cut"]
        self._database.proxy.arm(moment, self._chance.randint(1, 6))
        wait_for("a commit is cut", lambda: self._database.proxy.counts()["cut"] > cut, READY_DEADLINE_S)

    def _fail_over(self) -> None:
        assert self._database is not None
        self._database.fail_over()
        wait_for("all servers use the new primary", self._all_ready, READY_DEADLINE_S)
        self._database.add_standby()
