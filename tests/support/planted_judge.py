"""A child that stands in for `aipc.session.live.judge`: ``planted_judge.py VERDICT MARK``.

VERDICT is sound, wrong, slow, crash or another driver.  Each task adds a letter to the file MARK.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from aipc.child import one_task
from aipc.choose.shortfall import Shortfall
from aipc.records import plain, read
from aipc.session.live.judge import LiveTask, LiveVerdict

verdict, mark = sys.argv[1:]
told, tell = one_task()
task = read(LiveTask, told)
with Path(mark).open("a") as file:
    file.write("x")
if verdict == "slow":
    time.sleep(600)
if verdict == "crash":
    os._exit(134)
mean = 3.0 if verdict == "wrong" else 0.01
driver = "2" if verdict == "another driver" else "1"
tell(plain(LiveVerdict(Shortfall(mean, 0.0, len(task.answer.tokens)), driver)))
