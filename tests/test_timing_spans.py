from __future__ import annotations

import threading
import time

import pytest

from aipc.timing_spans import beside, recorded, span, told


def test_stages_are_kept_in_the_order_they_begin_with_their_depth():
    with recorded() as stages:
        with span("load"):
            with span("import"):
                time.sleep(0.01)
            with span("compile"):
                pass
        with span("warm up"):
            pass
    assert [(one.name, one.depth) for one in stages] == [
        ("load", 0),
        ("import", 1),
        ("compile", 1),
        ("warm up", 0),
    ]
    assert stages[0].seconds >= stages[1].seconds >= 0.01


def test_without_a_recording_nothing_is_kept():
    with span("alone"):
        pass
    with recorded() as stages:
        pass
    assert stages == []


def test_a_stage_that_fails_has_its_time_too():
    with recorded() as stages:
        with pytest.raises(KeyError), span("fails"):
            {}["missing"]
        with span("next"):
            pass
    assert stages[0].seconds > 0
    assert stages[1].depth == 0


def test_another_thread_joins_only_where_it_is_carried():
    def alone():
        with span("not carried"):
            pass

    with recorded() as stages, span("load"):
        for work in (alone, beside("read", lambda: None)):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert [(one.name, one.depth) for one in stages] == [("load", 0), ("read", 1)]


def test_who_waits_hears_the_parts_that_have_words_as_they_begin():
    heard = []
    with told(heard.append):
        with span("load", "loading on CPU"):
            assert heard == ["loading on CPU"]
            with span("import"):
                pass
        with span("warm up", "arranging the weights"):
            beside("read", lambda: span("x", "elsewhere").__enter__())()
    with span("after", "nobody listens"):
        pass
    assert heard == ["loading on CPU", "arranging the weights", "elsewhere"]
