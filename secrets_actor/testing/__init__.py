"""Help for tests of programs that use secrets_actor: a whole supervised system over a fake store in memory.

The fake store passes the same contract suite as AWS and the local store, so a test that passes with it says something
about those, too. It needs no file, no network and no account. It counts operations, and it fails or hangs when a test
tells it to:

>>> import secrets_actor
>>> from secrets_actor.testing import fake_system, kill, settled
>>> with fake_system(ttl_seconds=0) as (system, store):
...     store.put("db/password", "hunter2")
...     system.secrets.get("db/password").reveal()
...     store.fail_next(secrets_actor.Throttled("slow down"), operation="get")
...     try:
...         system.secrets.get("db/password")
...     except secrets_actor.Throttled as error:
...         print(f"the store said: {error}")
...     killed = kill(system, "secrets")
...     system.secrets.get("db/password").reveal()
...     [node.restarts for node in settled(system).root.walk() if node.name == "secrets"]
...     store.calls["get"]
'hunter2'
the store said: slow down
'hunter2'
[1]
3

Hold an operation in the middle, do some harm, and let it go on (`Gate`):

>>> from concurrent.futures import ThreadPoolExecutor
>>> with fake_system() as (system, store), ThreadPoolExecutor(1) as caller:
...     store.put("db/password", "hunter2")
...     with store.hold("get") as gate:
...         answer = caller.submit(system.secrets.get, "db/password")
...         gate.wait_until_held()
...         killed = kill(system, gate.holders[0])
...     answer.result(10).reveal()
'hunter2'

With a `ManualClock` time passes only when the test says so: `fake_system(FakeStore(clock=ManualClock()))`.
"""

from secrets_actor.otp import ManualClock
from secrets_actor.testing.fake_backend import FakeStore
from secrets_actor.testing.gate import Gate
from secrets_actor.testing.systems import fake_system
from secrets_actor.testing.trees import find, kill, settled

__all__ = [
    "FakeStore",
    "Gate",
    "ManualClock",
    "fake_system",
    "find",
    "kill",
    "settled",
]
